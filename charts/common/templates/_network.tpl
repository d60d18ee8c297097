{{/*
Who may talk to a part and whom it may talk to. Beside root, component and values it takes:
ingress (list of rules of its own), scraped (whether it has /metrics on 8080), token (whether it asks the API server),
offline (whether it needs nothing of Google's).

Each rule has a name, which is the key of `global.networkPolicy.rules` that switches it off; the annotation lists those in force.
*/}}
{{- define "common.networkPolicy" -}}
{{- $policy := .root.Values.global.networkPolicy -}}
{{- if $policy.enabled }}
{{- $on := $policy.rules -}}
{{- $egress := list -}}
{{- $ingress := .ingress | default list -}}
{{- $names := list -}}
{{- if $on.dns }}
{{- $names = append $names "dns" }}
{{- $egress = append $egress (dict "ports" (list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP"))) }}
{{- end }}
{{- if and .token $on.kubernetesApi }}
{{- $names = append $names "kubernetesApi" }}
{{- /* What the Service `kubernetes` stands for is outside of the pods' network and listens on one of these. */}}
{{- $egress = append $egress (dict "ports" (list (dict "port" 443 "protocol" "TCP") (dict "port" 6443 "protocol" "TCP"))) }}
{{- end }}
{{- if not .offline }}
{{- if .root.Values.global.emulators.enabled }}
{{- if $on.emulators }}
{{- $names = append $names "emulators" }}
{{- range $component, $ports := dict "pubsub" (list 8085) "bigquery" (list 9050 9060) "storage" (list 4443) }}
{{- $rule := dict "to" (list (dict "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" "thundercast" "app.kubernetes.io/instance" (include "common.emulatorsRelease" $) "app.kubernetes.io/component" $component)))) "ports" list }}
{{- range $ports }}{{ $rule = set $rule "ports" (append $rule.ports (dict "port" . "protocol" "TCP")) }}{{ end }}
{{- $egress = append $egress $rule }}
{{- end }}
{{- end }}
{{- else }}
{{- if $on.metadataServer }}
{{- $names = append $names "metadataServer" }}
{{- $egress = append $egress (dict "to" (list (dict "ipBlock" (dict "cidr" "169.254.169.254/32"))) "ports" (list (dict "port" 80 "protocol" "TCP"))) }}
{{- $egress = append $egress (dict "to" (list (dict "ipBlock" (dict "cidr" "169.254.169.252/32"))) "ports" (list (dict "port" 988 "protocol" "TCP"))) }}
{{- end }}
{{- if $on.googleApis }}
{{- $names = append $names "googleApis" }}
{{- $egress = append $egress (dict "to" (list (dict "ipBlock" (dict "cidr" $policy.googleApisCidr))) "ports" (list (dict "port" 443 "protocol" "TCP"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .scraped $on.scrape }}
{{- $names = append $names "scrape" }}
{{- $ingress = append $ingress (dict "from" $policy.scrapeFrom "ports" (list (dict "port" "http" "protocol" "TCP"))) }}
{{- end }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.labels" . | nindent 4 }}
  annotations:
    thundercast/rules: {{ join ", " $names | quote }}
spec:
  podSelector:
    matchLabels: {{- include "common.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: {{- toYaml (concat $ingress (.values.networkPolicy.extraIngress | default list) | default list) | nindent 4 }}
  egress: {{- toYaml (concat $egress (.values.networkPolicy.extraEgress | default list) | default list) | nindent 4 }}
{{- end }}
{{- end }}
