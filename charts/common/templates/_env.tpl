{{/* Folder where a volume of checkpoints is mounted. */}}
{{- define "common.checkpointsFolder" -}}
/var/lib/thundercast/checkpoints
{{- end }}

{{/* Name of the claim of checkpoints. */}}
{{- define "common.checkpointsClaim" -}}
{{- $volume := .root.Values.global.checkpoints.volume -}}
{{ $volume.existingClaim | default (include "common.fullname" (dict "root" .root "component" "checkpoints")) }}
{{- end }}

{{- define "common.checkpoints" -}}
{{- with .root.Values.global.checkpoints -}}
{{ .volume.enabled | ternary (include "common.checkpointsFolder" $) .place }}
{{- end -}}
{{- end }}

{{/* Whether the volume can be had on one node only, so that all who share it must meet there. */}}
{{- define "common.oneNode" -}}
{{- $volume := .root.Values.global.checkpoints.volume -}}
{{- if and $volume.enabled (not (has "ReadWriteMany" $volume.accessModes)) -}}true{{- end -}}
{{- end }}

{{/* The lock of a part, as `thundercast.adapters.locks` reads it; nothing if it is to be beside the checkpoints. */}}
{{- define "common.lock" -}}
{{- if eq .root.Values.global.lock "lease" -}}
kubernetes:{{ .root.Release.Namespace }}/{{ include "common.fullname" . }}
{{- end -}}
{{- end }}

{{/* Release that the stand-ins belong to. */}}
{{- define "common.emulatorsRelease" -}}
{{ .root.Values.global.emulators.release | default .root.Release.Name }}
{{- end }}

{{/* Host of a stand-in. */}}
{{- define "common.emulator" -}}
{{ include "common.releaseName" (dict "release" (include "common.emulatorsRelease" .) "component" .component) }}
{{- end }}

{{/* Variables that every part gets, as a map: where the parts meet, and the emulators' addresses for Google's clients. */}}
{{- define "common.connections" -}}
{{- $global := .root.Values.global -}}
GOOGLE_CLOUD_PROJECT: {{ $global.project | quote }}
THUNDERCAST_PROJECT: {{ $global.project | quote }}
THUNDERCAST_LOCATION: {{ $global.location | quote }}
THUNDERCAST_DATASET: {{ $global.dataset | quote }}
THUNDERCAST_CHECKPOINTS: {{ include "common.checkpoints" . | quote }}
{{- range $name, $value := $global.pubsub }}
THUNDERCAST_{{ $name | snakecase | upper }}: {{ $value | quote }}
{{- end }}
{{- if $global.emulators.enabled }}
PUBSUB_EMULATOR_HOST: {{ printf "%s:8085" (include "common.emulator" (dict "root" .root "component" "pubsub")) | quote }}
BIGQUERY_EMULATOR_HOST: {{ printf "http://%s:9050" (include "common.emulator" (dict "root" .root "component" "bigquery")) | quote }}
BIGQUERY_STORAGE_EMULATOR_HOST: {{ printf "%s:9060" (include "common.emulator" (dict "root" .root "component" "bigquery")) | quote }}
STORAGE_EMULATOR_HOST: {{ printf "http://%s:4443" (include "common.emulator" (dict "root" .root "component" "storage")) | quote }}
{{- end }}
{{- end }}

{{/* A part's own settings as a map of variables: camelCase keys under `settings`; null leaves the program its own default. */}}
{{- define "common.settings" -}}
{{- range $name, $value := .values.settings }}
{{- if not (kindIs "invalid" $value) }}
THUNDERCAST_{{ $name | snakecase | upper }}: {{ include "common.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The whole environment as a list without a name twice, sorted: connections, settings, what the template adds under `env`, then the
user's `extraEnv`, of which the part's win over the global ones and both over everything else.
*/}}
{{- define "common.env" -}}
{{- $all := dict -}}
{{- $maps := list (include "common.connections" . | fromYaml) (include "common.settings" . | fromYaml) (.env | default dict) -}}
{{- range $maps }}{{- range $name, $value := . }}
{{- $_ := set $all $name (kindIs "map" $value | ternary (dict "name" $name "valueFrom" $value) (dict "name" $name "value" $value)) }}
{{- end }}{{- end }}
{{- range concat .root.Values.global.extraEnv (.values.extraEnv | default list) }}
{{- $_ := set $all .name . }}
{{- end }}
{{- range $name := keys $all | sortAlpha }}
- {{ toYaml (get $all $name) | nindent 2 | trim }}
{{- end }}
{{- end }}
