{{/* How the dashboard is reached. */}}
{{- define "thundercast.notes.address" -}}
{{- $d := .Values.dashboard -}}
{{- $ns := .Release.Namespace -}}
{{- $name := include "common.fullname" (dict "root" . "component" "dashboard") -}}
{{- $path := ternary (printf "/%s" $d.baseUrlPath) "" (ne $d.baseUrlPath "") -}}
{{- if eq $d.exposure "none" -}}
It has no Service. From this machine:
  kubectl -n {{ $ns }} port-forward deploy/{{ $name }} 8501:8501
  then open http://localhost:8501{{ $path }}/
{{- else if eq $d.exposure "clusterIP" -}}
Within the cluster: http://{{ $name }}.{{ $ns }}:{{ $d.service.port }}{{ $path }}/   From this machine:
  kubectl -n {{ $ns }} port-forward svc/{{ $name }} 8501:{{ $d.service.port }}
  then open http://localhost:8501{{ $path }}/
{{- else if eq $d.exposure "nodePort" -}}
On every node, at the port that this prints:
  kubectl -n {{ $ns }} get svc {{ $name }} -o jsonpath='{.spec.ports[0].nodePort}'
  then open http://NODE:PORT{{ $path }}/
{{- else if eq $d.exposure "loadBalancer" -}}
At the address that this prints, once the load balancer has one:
  kubectl -n {{ $ns }} get svc {{ $name }} -o jsonpath='{.status.loadBalancer.ingress[0].ip}'
  then open http://ADDRESS{{ with $d.service.port }}{{ if ne (int .) 80 }}:{{ . }}{{ end }}{{ end }}{{ $path }}/
{{- else if eq $d.exposure "ingress" -}}
{{ or $d.ingress.managedCertificate (ne $d.ingress.tlsSecret "") | ternary "https" "http" }}://{{ $d.host }}{{ $path }}/   once its name leads to the address that this prints:
  kubectl -n {{ $ns }} get ingress {{ $name }} -o jsonpath='{.status.loadBalancer.ingress[0].ip}'
{{- if $d.ingress.managedCertificate }}
  Google makes the certificate after that, within an hour: kubectl -n {{ $ns }} get managedcertificate {{ $name }}
{{- end }}
{{- else if eq $d.exposure "gateway" -}}
http(s)://{{ $d.host }}{{ $path }}/   once its name leads to the Gateway's address:
  kubectl -n {{ $d.gateway.namespace | default $ns }} get gateway {{ $d.gateway.name }} -o jsonpath='{.status.addresses[0].value}'
{{- end -}}
{{- end }}

{{/* What is open, unguarded or forgetful in the chosen values: a list of sentences, a line each. */}}
{{- define "thundercast.notes.risks" -}}
{{- $v := .Values -}}
{{- $d := $v.dashboard -}}
{{- if $v.global.emulators.enabled }}
- Stand-ins take the place of Google's services (global.emulators): they ask nobody who they are, and forget everything when their pods end.
{{- end }}
{{- if and $v.trainer.enabled (eq $v.trainer.mode "push") (eq $v.trainer.push.auth "none") }}
- Anybody who reaches the trainer may push to it (trainer.push.auth=none).
{{- end }}
{{- if $d.enabled }}
{{- if and (eq $d.exposure "loadBalancer") $d.loadBalancer.public (not $d.loadBalancer.internal) (not $d.loadBalancer.sourceRanges) }}
- The whole internet sees the dashboard, without a login (dashboard.loadBalancer.public).
{{- else if and (has $d.exposure (list "ingress" "gateway" "loadBalancer" "nodePort")) (not $d.iap.enabled) }}
- Whoever reaches the dashboard's address sees it, without a login (dashboard.exposure={{ $d.exposure }}; on GKE dashboard.iap.enabled=true asks who they are).
{{- end }}
{{- if and (eq $d.exposure "ingress") (not $d.ingress.managedCertificate) (not $d.ingress.tlsSecret) }}
- The dashboard is served without TLS (dashboard.ingress.tlsSecret or .managedCertificate).
{{- end }}
{{- end }}
{{- if eq $v.global.platform "cloudrun" }}
{{- if and $d.enabled (eq $d.cloudRun.access "public") }}
- The whole internet sees the dashboard, without a login (dashboard.cloudRun.access=public).
{{- end }}
- Nothing scrapes: there are no metrics and no alerts, only the table {{ $v.global.dataset }}.status, which the dashboard's page Stream shows.
{{- else if not $v.global.networkPolicy.enabled }}
- Every pod may talk to every other (global.networkPolicy.enabled=false).
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.runner "DirectRunner") }}
- Beam's DirectRunner cleans: it acknowledges what it has not finished, so a restart of its pod loses batches (dataflow.runner).
{{- end }}
{{- if and $v.trainer.enabled (lt (int $v.trainer.replicas) 2) }}
- There is one trainer: while its {{ ternary "instance" "pod" (eq $v.global.platform "cloudrun") }} is replaced nobody learns or predicts (trainer.replicas).
{{- end }}
{{- end }}

{{/* What becomes of the job on Dataflow at an uninstallation. */}}
{{- define "thundercast.notes.job" -}}
{{- $launch := .Values.dataflow.launch -}}
{{- $part := dict "root" . "component" "dataflow" "values" .Values.dataflow -}}
{{- $job := include "dataflow.job" $part -}}
{{- $deadline := int (include "dataflow.stopDeadline" $part) -}}
{{- $listed := printf "gcloud dataflow jobs list --project=%s --region=%s --status=active --filter=name=%s" .Values.global.project $launch.region $job -}}
{{- if eq $launch.onUninstall "drain" -}}
- the Dataflow job {{ $job }} while it drains: it finishes what it has read, and keeps each shard's state beside the checkpoints for the next job to go on from;
    what it has not read stays in the subscription for 7 days. If it has not ended after {{ $launch.stopSeconds }} s it {{ $launch.cancelAfterDrain | ternary "is cancelled" "ends later, by itself" }}
{{- else if eq $launch.onUninstall "cancel" -}}
- no Dataflow job: {{ $job }} is cancelled, and what it holds is lost with it. The next job starts from the snapshots of every {{ $.Values.dataflow.pipeline.snapshotDates }} dates, and has delivered
    again what came since the oldest of them
{{- else -}}
- the Dataflow job {{ $job }}, which goes on reading, publishing and costing until it is drained (`gcloud dataflow jobs drain JOB_ID --region={{ $launch.region }}`)
{{- end }}
    {{ $listed }}
{{- if ne $launch.onUninstall "leave" }}
    {{- if gt $deadline 285 }}
    give it the time: helm uninstall -n {{ .Release.Namespace }} {{ .Release.Name }} --timeout={{ add (div (add $deadline 59) 60) 1 }}m
    {{- end }}
    if the pod that asks for it cannot run, uninstall with --no-hooks, and end the job yourself
{{- end }}
{{- end }}

{{/* Google's roles that the parts' accounts need, a line each. */}}
{{- define "thundercast.notes.roles" -}}
{{- $v := .Values -}}
{{- $g := $v.global -}}
{{- $worker := dig "launch" "workerServiceAccount" "" $v.dataflow | default "(the workers' account)" -}}
{{- $conditions := dict
  "bigquerySource" (hasPrefix "bigquery:" (dig "settings" "source" "" $v.simulator))
  "worker" (eq (dig "runner" "" $v.cleaner) "worker")
  "dataflow" (eq (dig "runner" "" $v.dataflow) "DataflowRunner")
  "beamDirect" (eq (dig "runner" "" $v.dataflow) "DirectRunner") -}}
{{- $places := dict "project" $g.project "bucket" (regexFind "gs://[^/]+" $g.checkpoints.place) "dataset" (printf "%s.%s" $g.project $g.dataset) "workerAccount" $worker "registry" $g.image.registry -}}
{{- $parts := merge (dict "dataflowWorker" $v.dataflow) (pick $v "bootstrap" "simulator" "cleaner" "trainer" "dashboard" "dataflow") -}}
{{- range $part, $roles := .Files.Get "files/roles.yaml" | fromYaml -}}
{{- $values := get $parts $part -}}
{{- if $values.enabled -}}
{{- $account := $worker -}}
{{- if ne $part "dataflowWorker" -}}
{{- $account = $values.serviceAccount.googleServiceAccount | default (printf "%s/%s" $.Release.Namespace (include "common.serviceAccountName" (dict "root" $ "component" $part "values" $values))) -}}
{{- end -}}
{{- range $role := $roles -}}
{{- $where := get $places $role.at -}}
{{- if hasKey $role "name" -}}
{{- $where = printf "%s %s%s" $role.at (get $g.pubsub $role.name) (ternary (printf "-K-of-%d" (int $g.groups)) "" (and (eq $role.name "rawSubscription") (gt (int $g.groups) 1))) -}}
{{- end -}}
{{- if and $where (or (not (hasKey $role "when")) (get $conditions ($role.when | default ""))) }}
  {{ printf "%-30s %-34s on %s" $account $role.role $where }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The notes for Cloud Run, where nothing is installed: what is to be done with what was rendered. */}}
{{- define "thundercast.notes.cloudRun" -}}
{{- $v := .Values -}}
{{- $name := .Release.Name -}}
Thundercast {{ .Chart.AppVersion }} as {{ .Release.Name }}, for Cloud Run. Nothing was installed: hand what `helm template` prints to scripts/cloudrun, or to `gcloud run services|jobs|worker-pools replace`.
{{- if $v.bootstrap.enabled }}

First, once, and again with a new version: topics, subscriptions, bucket and tables
  gcloud run jobs execute {{ $name }}-bootstrap --wait
{{- end }}
{{- if $v.dataflow.enabled }}
The Dataflow job (again after a change of dataflow.*; it drains when you say so, not when the rest is deleted)
  gcloud run jobs execute {{ $name }}-dataflow --wait
{{- end }}
{{- if $v.simulator.enabled }}
The stream
  gcloud run jobs execute {{ $name }}-simulator
{{- end }}
{{- if $v.dashboard.enabled }}

The dashboard
  gcloud run services describe {{ $name }}-dashboard --format='value(status.url)'
  {{- if eq $v.dashboard.cloudRun.access "iap" }}
  who may see it: gcloud iap web add-iam-policy-binding --resource-type=cloud-run --service={{ $name }}-dashboard --member=user:YOU --role=roles/iap.httpsResourceAccessor
  {{- else if eq $v.dashboard.cloudRun.access "invokers" }}
  from this machine: gcloud run services proxy {{ $name }}-dashboard --port=8501, then open http://localhost:8501
  {{- end }}
{{- end }}

If something is amiss
{{- if eq $v.trainer.mode "pull" }}
  gcloud run worker-pools describe {{ $name }}-trainer      whether its instance runs
{{- else }}
  gcloud run services describe {{ $name }}-trainer      whether its instance runs
{{- end }}
  gcloud run jobs executions list --job={{ $name }}-simulator      how the stream's executions ended
  gcloud logging read 'labels.release="{{ $name }}"' --limit=50      what the parts say last

{{- with include "thundercast.notes.risks" . | trim }}

Mind
{{- . | nindent 2 }}
{{- end }}

Roles that the accounts need, each once (docs/deploy-cloud-run.md has the commands)
{{- include "thundercast.notes.roles" . }}

Deleting the Services, Jobs and WorkerPools leaves behind
  - topics and subscriptions, the dataset {{ $v.global.dataset }}{{ with $v.global.checkpoints.place }}, and what is in {{ . }}{{ end }}
{{- if $v.dataflow.enabled }}
  - the Dataflow job, which goes on reading, publishing and costing until it is drained (`gcloud dataflow jobs drain JOB_ID --region={{ $v.dataflow.launch.region }}`)
{{- end }}
{{- end }}
