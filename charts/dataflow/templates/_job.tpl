{{/* Name of the job on Dataflow. */}}
{{- define "dataflow.job" -}}
{{ .values.launch.jobName | default (include "common.fullname" (dict "root" .root "component" "dataflow")) }}
{{- end }}

{{/* What ends the job at an uninstallation, in seconds at most: its waiting, twice where a cancellation follows, and two minutes to start and ask. */}}
{{- define "dataflow.stopDeadline" -}}
{{- $launch := .values.launch -}}
{{ add (mul (int $launch.stopSeconds) (ternary 2 1 (and (eq $launch.onUninstall "drain") $launch.cancelAfterDrain))) 120 }}
{{- end }}

{{/* Arguments of the program. Takes part and direct. */}}
{{- define "dataflow.args" -}}
{{- $v := .part.values -}}
{{- $global := .part.root.Values.global -}}
{{- if .direct -}}
- streaming
- --runner=DirectRunner
{{- else }}
- --mode={{ $v.launch.mode }}
{{- with $v.launch.template }}
- --template={{ . }}
{{- end }}
- --job_name={{ include "dataflow.job" .part }}
- --region={{ $v.launch.region }}
- --temp_location={{ $v.launch.tempLocation }}
- --sdk_container_image={{ include "common.image" (dict "root" .part.root "values" (dict "image" $v.directImage)) | trimAll "\"" }}
- --machine_type={{ $v.launch.machineType }}
- --max_num_workers={{ $v.launch.maxWorkers }}
- --disk_size_gb={{ $v.launch.diskSizeGb }}
{{- if $v.launch.privateWorkers }}
- --no_use_public_ips
{{- end }}
{{- with $v.launch.subnetwork }}
- --subnetwork={{ . }}
{{- end }}
{{- with $v.launch.workerServiceAccount }}
- --service_account_email={{ . }}
{{- end }}
- --enable_streaming_engine
{{- end }}
- --project={{ $global.project }}
- --raw_subscription={{ $global.pubsub.rawSubscription }}
- --clean_topic={{ $global.pubsub.cleanTopic }}
- --dead_letter_topic={{ $global.pubsub.deadLetterTopic }}
- --checkpoints={{ include "common.checkpoints" .part }}
- --gap_timeout={{ include "common.text" $v.pipeline.gapTimeout }}
- --idle_timeout={{ include "common.text" $v.pipeline.idleTimeout }}
- --snapshot_dates={{ include "common.text" $v.pipeline.snapshotDates }}
{{- range $v.pipeline.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
