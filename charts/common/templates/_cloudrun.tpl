{{/*
Cloud Run's objects. Each helper takes what those of a part take, and: env (more variables), command, args, port (if it is asked by anybody).
Images, arguments and variables are those of the pods, by the same helpers.
*/}}

{{- define "common.cloudRun.on" -}}
{{- if eq .Values.global.platform "cloudrun" -}}true{{- end -}}
{{- end }}

{{/* Labels that Google's billing takes, too: lower case, without a domain. */}}
{{- define "common.cloudRun.labels" -}}
{{- $labels := dict "app" "thundercast" "release" .root.Release.Name "component" .component -}}
{{- range $key, $value := .root.Values.global.labels }}{{ $_ := set $labels (regexReplaceAll "[^a-z0-9_-]" (lower $key) "-" | trunc 63) (regexReplaceAll "[^a-z0-9_-]" (lower $value) "-" | trunc 63) }}{{ end -}}
{{ toYaml $labels }}
{{- end }}

{{- define "common.cloudRun.container" -}}
- name: {{ .component }}
  image: {{ include "common.image" . }}
  {{- with .command }}
  command: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .args }}
  args: {{- toYaml . | nindent 4 }}
  {{- end }}
  env: {{- include "common.env" . | nindent 4 }}
  resources:
    limits:
      cpu: {{ dig "limits" "cpu" "1" .values.resources | toString | quote }}
      memory: {{ dig "limits" "memory" "512Mi" .values.resources | toString | quote }}
  {{- with .port }}
  ports:
    - name: http1
      containerPort: {{ . }}
  startupProbe:
    httpGet: {path: {{ $.health }}, port: {{ . }}}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 48
  livenessProbe:
    httpGet: {path: {{ $.health }}, port: {{ . }}}
    periodSeconds: 30
    timeoutSeconds: 10
    failureThreshold: 3
  {{- end }}
{{- end }}

{{/* The account; Cloud Run would take the project's default one, which may do far more. */}}
{{- define "common.cloudRun.account" -}}
{{- $account := .values.serviceAccount.googleServiceAccount -}}
{{- if not $account -}}
{{- include "common.refuse" (dict "key" (printf "%s.serviceAccount.googleServiceAccount" .component) "wrong" "is empty, and Cloud Run would take the project's default account" "out" "set it to NAME@PROJECT.iam.gserviceaccount.com; docs/deploy-cloud-run.md says which roles it needs") -}}
{{- end -}}
{{ $account }}
{{- end }}

{{/* A program that ends: `gcloud run jobs execute` starts it. */}}
{{- define "common.cloudRun.job" -}}
{{- $run := .root.Values.global.cloudRun -}}
---
apiVersion: run.googleapis.com/v1
kind: Job
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.cloudRun.labels" . | nindent 4 }}
spec:
  template:
    metadata:
      labels: {{- include "common.cloudRun.labels" . | nindent 8 }}
      annotations: {{- toYaml (merge (dict "run.googleapis.com/execution-environment" "gen2") $run.annotations) | nindent 8 }}
    spec:
      taskCount: 1
      parallelism: 1
      template:
        spec:
          serviceAccountName: {{ include "common.cloudRun.account" . }}
          maxRetries: {{ $run.retries }}
          timeoutSeconds: {{ $run.taskTimeoutSeconds | int }}
          containers: {{- include "common.cloudRun.container" . | nindent 12 }}
{{- end }}

{{/* A program that runs for ever and that nobody asks: `instances` of it, with their CPU all the time. */}}
{{- define "common.cloudRun.workerPool" -}}
---
apiVersion: run.googleapis.com/v1
kind: WorkerPool
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.cloudRun.labels" . | nindent 4 }}
  annotations:
    run.googleapis.com/scalingMode: manual
    run.googleapis.com/manualInstanceCount: {{ .instances | toString | quote }}
spec:
  template:
    metadata:
      labels: {{- include "common.cloudRun.labels" . | nindent 8 }}
      {{- with .root.Values.global.cloudRun.annotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "common.cloudRun.account" . }}
      containers: {{- include "common.cloudRun.container" . | nindent 8 }}
{{- end }}

{{/* A program that is asked over HTTP. It takes: annotations (of the Service), least, most (instances), concurrency, timeout (seconds), affinity. */}}
{{- define "common.cloudRun.service" -}}
{{- $annotations := dict "autoscaling.knative.dev/minScale" (toString .least) "autoscaling.knative.dev/maxScale" (toString .most) "run.googleapis.com/cpu-throttling" "false" "run.googleapis.com/startup-cpu-boost" "true" "run.googleapis.com/execution-environment" "gen2" -}}
{{- if .affinity }}{{ $_ := set $annotations "run.googleapis.com/sessionAffinity" "true" }}{{ end -}}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: {{ include "common.fullname" . }}
  labels: {{- include "common.cloudRun.labels" . | nindent 4 }}
  annotations: {{- toYaml .annotations | nindent 4 }}
spec:
  template:
    metadata:
      labels: {{- include "common.cloudRun.labels" . | nindent 8 }}
      annotations: {{- toYaml (merge $annotations .root.Values.global.cloudRun.annotations) | nindent 8 }}
    spec:
      serviceAccountName: {{ include "common.cloudRun.account" . }}
      containerConcurrency: {{ .concurrency }}
      timeoutSeconds: {{ .timeout }}
      containers: {{- include "common.cloudRun.container" . | nindent 8 }}
  traffic:
    - percent: 100
      latestRevision: true
{{- end }}
