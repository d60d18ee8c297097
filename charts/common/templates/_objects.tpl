{{- define "common.serviceAccountName" -}}
{{- $account := .values.serviceAccount -}}
{{ $account.create | ternary ($account.name | default (include "common.fullname" (omit . "suffix"))) ($account.name | default "default") }}
{{- end }}

{{/* The account of a part; on GKE it acts as the Google account that it names. */}}
{{- define "common.serviceAccount" -}}
{{- if .values.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "common.serviceAccountName" . }}
  labels: {{- include "common.labels" (omit . "suffix") | nindent 4 }}
  {{- $annotations := deepCopy .values.serviceAccount.annotations }}
  {{- with .values.serviceAccount.googleServiceAccount }}{{ $_ := set $annotations "iam.gke.io/gcp-service-account" . }}{{ end }}
  {{- with $annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
# Pods that need a token ask for it themselves.
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{/* The right to exactly the Leases that are named under `leases`. Nobody can be given the right to create one by its name. */}}
{{- define "common.leaseRole" -}}
{{- if eq .root.Values.global.lock "lease" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.labels" . | nindent 4 }}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: {{- toYaml .leases | nindent 6 }}
    verbs: [get, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "common.fullname" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "common.serviceAccountName" . }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* At most one pod of a part may be taken away at a time; a single one may, since it comes back. */}}
{{- define "common.disruptionBudget" -}}
{{- if .values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "common.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}

{{/*
Annotation with the checks of kube-score that are passed over (`passOver`, a list); tests/charts/kube-score.yaml has the reasons.
Images that are not fetched anew each time are the user's choice.
*/}}
{{- define "common.passedOver" -}}
{{- $checks := .passOver | default list -}}
{{- if ne .root.Values.global.image.pullPolicy "Always" -}}
{{- $checks = append $checks "container-image-pull-policy" -}}
{{- end -}}
{{- with $checks -}}
kube-score/ignore: {{ join "," . }}
{{- end -}}
{{- end }}
