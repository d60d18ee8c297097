{{/*
What every pod has beside its containers. Beside root, component and values it takes:
token (whether it talks to the API server), follow (components on whose node it must be), restartPolicy, grace (seconds).
*/}}
{{- define "common.pod" -}}
{{- $global := .root.Values.global -}}
serviceAccountName: {{ include "common.serviceAccountName" . }}
automountServiceAccountToken: {{ .token | default false }}
# Variables of other Services would be taken for settings.
enableServiceLinks: false
{{- with .restartPolicy }}
restartPolicy: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .values.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with .values.extraInitContainers }}
initContainers: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $global.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.priorityClassName | default $global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with merge (dict) (.values.nodeSelector | default dict) $global.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $global.tolerations (.values.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $affinity := deepCopy (.values.affinity | default dict) }}
{{- if and .follow (include "common.oneNode" .) }}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "common.selectorLabels" (dict "root" .root "component" .follow) | fromYaml)) }}
{{- $pods := $affinity.podAffinity | default dict }}
{{- $pods = set $pods "requiredDuringSchedulingIgnoredDuringExecution" (append ($pods.requiredDuringSchedulingIgnoredDuringExecution | default list) $term) }}
{{- $affinity = set $affinity "podAffinity" $pods }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.topologySpread }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "common.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What every container has beside its name, command, ports, probes and volumes. */}}
{{- define "common.container" -}}
image: {{ include "common.image" . }}
imagePullPolicy: {{ .root.Values.global.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  privileged: false
  runAsUser: 65532
  runAsGroup: 65532
  capabilities:
    drop: [ALL]
resources: {{- toYaml .values.resources | nindent 2 }}
{{- end }}

{{/* Mounts: /tmp, the volume of checkpoints where there is one, and the user's. */}}
{{- define "common.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if and .root.Values.global.checkpoints.volume.enabled (not .stateless) }}
- name: checkpoints
  mountPath: {{ include "common.checkpointsFolder" . }}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "common.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .values.tmpSize | default "256Mi" }}
{{- if and .root.Values.global.checkpoints.volume.enabled (not .stateless) }}
- name: checkpoints
  persistentVolumeClaim:
    claimName: {{ include "common.checkpointsClaim" . }}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The three probes of a part with /healthz and /readyz on the port http. Startup is patient, so that liveness need not be. */}}
{{- define "common.probes" -}}
{{- $probes := .values.probes -}}
startupProbe:
  httpGet: {path: {{ .health | default "/healthz" }}, port: http}
  {{- toYaml $probes.startup | nindent 2 }}
readinessProbe:
  httpGet: {path: {{ .ready | default "/readyz" }}, port: http}
  {{- toYaml $probes.readiness | nindent 2 }}
livenessProbe:
  httpGet: {path: {{ .health | default "/healthz" }}, port: http}
  {{- toYaml $probes.liveness | nindent 2 }}
{{- end }}
