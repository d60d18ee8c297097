{{/* Name of the job on Dataflow. */}}
{{- define "dataflow.job" -}}
{{ .values.launch.jobName | default (include "common.fullname" (dict "root" .root "component" "dataflow")) }}
{{- end }}

{{/* What ends the job at an uninstallation, in seconds at most: its waiting, twice where a cancellation follows, and two minutes to start and ask. */}}
{{- define "dataflow.stopDeadline" -}}
{{- $launch := .values.launch -}}
{{ add (mul (int $launch.stopSeconds) (ternary 2 1 (and (eq $launch.onUninstall "drain") $launch.cancelAfterDrain))) 120 }}
{{- end }}
