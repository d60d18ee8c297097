{{/* Labels of the objects of monitoring: those of the chart, and those that Prometheus selects by. */}}
{{- define "thundercast.monitoring.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: monitoring
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Parts whose pods have /metrics on the port named http. */}}
{{- define "thundercast.monitoring.selector" -}}
matchLabels:
  app.kubernetes.io/instance: {{ .Release.Name }}
matchExpressions:
  - key: app.kubernetes.io/component
    operator: In
    values: [simulator, cleaner, trainer]
{{- end }}

{{/* The groups of rules: files/rules with the ${names} filled in, without the alerts that are disabled. */}}
{{- define "thundercast.monitoring.groups" -}}
{{- $alerts := .Values.monitoring.alerts }}
{{- $names := dict "namespace" .Release.Namespace "release" .Release.Name "champion" $alerts.champion "runbooks" $alerts.runbooks }}
{{- $text := .Files.Get "files/rules/thundercast.yaml" }}
{{- range $name, $value := merge $names $alerts.thresholds }}
{{- /* Helm reads numbers as float64: 50000 must not become 5e+04. */}}
{{- $shown := kindIs "float64" $value | ternary (printf "%v" $value) (toString $value) }}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ $shown = printf "%.0f" $value }}{{ end }}
{{- $text = replace (printf "${%s}" $name) $shown $text }}
{{- end }}
{{- if contains "${" $text }}{{ fail (printf "monitoring.alerts.thresholds lacks %s" (regexFind "\\$\\{[^}]*\\}" $text)) }}{{ end }}
{{- $known := list }}
{{- $groups := list }}
{{- range $group := (fromYaml $text).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $known = append $known $rule.alert }}
{{- if not (has $rule.alert $alerts.disabled) }}
{{- $rules = append $rules (set $rule "labels" (merge (dict) $rule.labels $alerts.labels)) }}
{{- end }}
{{- end }}
{{- $groups = append $groups (set $group "rules" $rules) }}
{{- end }}
{{- range $alerts.disabled }}
{{- if not (has . $known) }}{{ fail (printf "monitoring.alerts.disabled: there is no alert %s; there are %s" . (join ", " $known)) }}{{ end }}
{{- end }}
{{- toYaml $groups }}
{{- end }}
