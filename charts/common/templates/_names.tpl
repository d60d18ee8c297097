{{/*
Every helper that concerns a part takes a dict: root (the chart's own context), component (its name) and values (the part's values);
cleaners and pieces of the umbrella that have several objects of a kind add suffix.
*/}}

{{/* Name of a part's objects: RELEASE-COMPONENT, short enough that a suffix still fits into 63 characters. */}}
{{- define "common.fullname" -}}
{{- include "common.releaseName" (dict "release" .root.Release.Name "component" .component) }}
{{- with .suffix }}-{{ . }}{{ end }}
{{- end }}

{{- define "common.releaseName" -}}
{{ printf "%s-%s" (.release | trunc 42 | trimSuffix "-") .component | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What tells the pods of a part from all others; never changes, since a Deployment's selector cannot. */}}
{{- define "common.selectorLabels" -}}
app.kubernetes.io/name: thundercast
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .suffix }}
thundercast/group: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "common.labels" -}}
{{ include "common.selectorLabels" . }}
app.kubernetes.io/part-of: thundercast
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ include "common.version" . }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels of a pod template; without the chart's version, which would restart every pod. */}}
{{- define "common.podLabels" -}}
{{- $labels := merge (dict) (include "common.selectorLabels" . | fromYaml) (.values.podLabels | default dict) .root.Values.global.labels (dict "app.kubernetes.io/part-of" "thundercast") -}}
{{ toYaml $labels }}
{{- end }}

{{/* The version as a label: a digest is none, so its first digits stand for it. */}}
{{- define "common.version" -}}
{{- $image := (.values.image | default dict) -}}
{{- $tag := $image.tag | default .root.Values.global.image.tag | default .root.Chart.AppVersion -}}
{{- if $image.digest -}}{{ $tag = printf "sha256-%s" (trimPrefix "sha256:" $image.digest | trunc 12) }}{{- end -}}
{{ regexReplaceAll "[^A-Za-z0-9._-]" $tag "-" | trunc 63 | trimAll "-._" | quote }}
{{- end }}

{{/* The image by its full name. A repository that names a registry itself (its first part has a dot, a colon or is localhost) is left alone. */}}
{{- define "common.image" -}}
{{- $image := .values.image -}}
{{- $name := $image.repository -}}
{{- if not $name }}{{ include "common.refuse" (dict "key" (printf "%s.image.repository" .component) "wrong" "is empty" "out" "leave it out for the project's own image") }}{{ end -}}
{{- $first := splitList "/" $name | first -}}
{{- if not (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $name = printf "%s/%s" (trimSuffix "/" .root.Values.global.image.registry) $name -}}
{{- end -}}
{{- $tag := $image.tag | default .root.Values.global.image.tag | default .root.Chart.AppVersion -}}
{{- if $image.digest -}}{{ printf "%s@%s" $name $image.digest | quote }}{{- else -}}{{ printf "%s:%s" $name $tag | quote }}{{- end -}}
{{- end }}

{{/* A number, text, list or flag as an environment variable has it; Helm reads numbers as float64, and 100000 must not become 1e+05. */}}
{{- define "common.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ printf "%.0f" . }}{{- else -}}{{ printf "%v" . }}{{- end -}}
{{- else if or (kindIs "slice" .) (kindIs "map" .) -}}{{ toJson . }}
{{- else -}}{{ toString . }}{{- end -}}
{{- end }}

{{/* Ends the rendering: the key, what is wrong with it, and the way out. */}}
{{- define "common.refuse" -}}
{{- fail (printf "\n\n  %s: %s\n  Way out: %s\n" .key .wrong .out) }}
{{- end }}

{{/* Eight digits of whatever it is given, for names of Jobs, whose templates cannot be changed. */}}
{{- define "common.hash" -}}
{{ . | sha256sum | trunc 8 }}
{{- end }}
