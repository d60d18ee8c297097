{{/* What the parts must be to each other. */}}
{{- define "thundercast.guards" -}}
{{- $v := .Values }}
{{- $g := $v.global }}
{{- if not $g.image.registry }}
{{- include "common.refuse" (dict "key" "global.image.registry" "wrong" "is empty, and there are no images to be had without building them" "out" "build and push them with `scripts/build-images --push REGISTRY --tag TAG`, then set global.image.registry=REGISTRY and global.image.tag=TAG; on a cluster of your own machine use the profile values-local.yaml") }}
{{- end }}
{{- if not $g.project }}
{{- include "common.refuse" (dict "key" "global.project" "wrong" "is empty" "out" "set it to the id of your Google Cloud project, or use the profile values-local.yaml") }}
{{- end }}
{{- if and (not $g.checkpoints.place) (not $g.checkpoints.volume.enabled) }}
{{- include "common.refuse" (dict "key" "global.checkpoints" "wrong" "what is learnt must be kept somewhere" "out" "set global.checkpoints.place=gs://BUCKET/PREFIX, or global.checkpoints.volume.enabled=true") }}
{{- end }}
{{- if and $g.checkpoints.place $g.checkpoints.volume.enabled }}
{{- include "common.refuse" (dict "key" "global.checkpoints.place" "wrong" "checkpoints are kept in one place, and a volume is enabled, too" "out" "empty it, or set global.checkpoints.volume.enabled=false") }}
{{- end }}
{{- if and $g.checkpoints.volume.enabled (not $g.checkpoints.volume.existingClaim) (not $v.trainer.enabled) }}
{{- include "common.refuse" (dict "key" "global.checkpoints.volume.existingClaim" "wrong" "the trainer's chart makes the claim, and trainer.enabled is false" "out" "name a claim that is there, or enable the trainer") }}
{{- end }}
{{- $runner := ternary $v.cleaner.runner "none" $v.cleaner.enabled }}
{{- $beam := get (dict "dataflow" "DataflowRunner" "beam-direct" "DirectRunner") $runner | default "" }}
{{- if and $beam (not $v.dataflow.enabled) }}
{{- include "common.refuse" (dict "key" "dataflow.enabled" "wrong" (printf "is false, but cleaner.runner=%s leaves the cleaning to it" $runner) "out" (printf "set dataflow.enabled=true and dataflow.runner=%s, or cleaner.runner=worker" $beam)) }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $runner "worker") }}
{{- include "common.refuse" (dict "key" "cleaner.runner" "wrong" "is worker, and dataflow.enabled is true: two cleaners would share one subscription" "out" "set cleaner.runner=dataflow (or beam-direct), or dataflow.enabled=false") }}
{{- end }}
{{- if and $beam $v.dataflow.enabled (ne $v.dataflow.runner $beam) }}
{{- include "common.refuse" (dict "key" "dataflow.runner" "wrong" (printf "is %s, but cleaner.runner is %s" $v.dataflow.runner $runner) "out" (printf "set dataflow.runner=%s" $beam)) }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.runner "DataflowRunner") $g.emulators.enabled }}
{{- include "common.refuse" (dict "key" "cleaner.runner" "wrong" "Dataflow cannot reach emulators in this cluster" "out" "set cleaner.runner=worker (or beam-direct with dataflow.runner=DirectRunner), or global.emulators.enabled=false") }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.runner "DataflowRunner") $g.checkpoints.volume.enabled }}
{{- include "common.refuse" (dict "key" "global.checkpoints.volume.enabled" "wrong" "Dataflow's workers cannot mount a volume of this cluster" "out" "set it to false, and global.checkpoints.place=gs://BUCKET/PREFIX") }}
{{- end }}
{{- if and $beam (gt (int $g.groups) 1) }}
{{- include "common.refuse" (dict "key" "global.groups" "wrong" "Beam reads one subscription with all shards" "out" "set global.groups=1, or cleaner.runner=worker") }}
{{- end }}
{{- if and (eq $runner "worker") $v.trainer.enabled (lt (float64 $v.trainer.settings.gapTimeout) (mulf 2.0 $v.cleaner.settings.gapTimeout)) }}
{{- include "common.refuse" (dict "key" "trainer.settings.gapTimeout" "wrong" "less than twice the cleaner's: the trainer would give a batch up while the cleaner still waits for it" "out" "raise it, or lower cleaner.settings.gapTimeout") }}
{{- end }}
{{- if and $g.emulators.enabled (eq $v.monitoring.kind "managed") }}
{{- include "common.refuse" (dict "key" "monitoring.kind" "wrong" "managed Prometheus is Google's, and with emulators nothing is to leave the cluster" "out" "set monitoring.kind=operator or none") }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.runner "DataflowRunner") (not $v.dataflow.launch.tempLocation) }}
{{- include "common.refuse" (dict "key" "dataflow.launch.tempLocation" "wrong" "is empty, and Dataflow stages the pipeline there" "out" "set it to gs://BUCKET/PREFIX, in the region of the job") }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.runner "DataflowRunner") (not $v.dataflow.launch.workerServiceAccount) }}
{{- include "common.refuse" (dict "key" "dataflow.launch.workerServiceAccount" "wrong" "is empty, and the project's default account may do far more than workers need" "out" "set it to NAME@PROJECT.iam.gserviceaccount.com, an account with the roles of `dataflowWorker` in files/roles.yaml") }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.launch.mode "flex-template") (not $v.dataflow.launch.template) }}
{{- include "common.refuse" (dict "key" "dataflow.launch.template" "wrong" "is empty, and dataflow.launch.mode is flex-template" "out" "set it to the template's file, gs://BUCKET/OBJECT (images/launcher/README.md says how it is made), or dataflow.launch.mode=direct") }}
{{- end }}
{{- if and $v.dataflow.enabled (eq $v.dataflow.launch.mode "direct") $v.dataflow.launch.template }}
{{- include "common.refuse" (dict "key" "dataflow.launch.mode" "wrong" "is direct, and dataflow.launch.template names a template" "out" "set dataflow.launch.mode=flex-template, or leave dataflow.launch.template empty") }}
{{- end }}
{{- if and $v.dataflow.enabled $v.dataflow.launch.cancelAfterDrain (ne $v.dataflow.launch.onUninstall "drain") }}
{{- include "common.refuse" (dict "key" "dataflow.launch.cancelAfterDrain" "wrong" (printf "follows a drain, and dataflow.launch.onUninstall is %s" $v.dataflow.launch.onUninstall) "out" "set it to false, or dataflow.launch.onUninstall=drain") }}
{{- end }}
{{- if eq $g.platform "cloudrun" }}
{{- include "thundercast.cloudRunGuards" . }}
{{- end }}
{{- end }}

{{/* What there is not on Cloud Run: values for it would be passed over in silence. */}}
{{- define "thundercast.cloudRunGuards" -}}
{{- $v := .Values }}
{{- $g := $v.global }}
{{- if $g.emulators.enabled }}
{{- include "common.refuse" (dict "key" "global.emulators.enabled" "wrong" "stand-ins run in a cluster, and global.platform is cloudrun" "out" "set it to false, or global.platform=kubernetes") }}
{{- end }}
{{- if $g.checkpoints.volume.enabled }}
{{- include "common.refuse" (dict "key" "global.checkpoints.volume.enabled" "wrong" "Cloud Run has no volumes of a cluster" "out" "set it to false, and global.checkpoints.place=gs://BUCKET/PREFIX") }}
{{- end }}
{{- if ne $g.lock "checkpoints" }}
{{- include "common.refuse" (dict "key" "global.lock" "wrong" "Cloud Run has no Leases" "out" "set global.lock=checkpoints, an object beside the checkpoints") }}
{{- end }}
{{- if eq $v.cleaner.runner "beam-direct" }}
{{- include "common.refuse" (dict "key" "cleaner.runner" "wrong" "beam-direct is not durable, and Cloud Run replaces instances when it likes" "out" "set cleaner.runner=worker or dataflow") }}
{{- end }}
{{- if ne $v.monitoring.kind "none" }}
{{- include "common.refuse" (dict "key" "monitoring.kind" "wrong" "nothing scrapes on Cloud Run" "out" "set monitoring.kind=none; the dashboard's page Stream shows the table `status`") }}
{{- end }}
{{- if $v.monitoring.dashboards.enabled }}
{{- include "common.refuse" (dict "key" "monitoring.dashboards.enabled" "wrong" "there are no ConfigMaps on Cloud Run" "out" "set it to false") }}
{{- end }}
{{- if $v.check.enabled }}
{{- include "common.refuse" (dict "key" "check.enabled" "wrong" "`helm test` needs a release in a cluster" "out" "set it to false") }}
{{- end }}
{{- if $v.extraObjects }}
{{- include "common.refuse" (dict "key" "extraObjects" "wrong" "Cloud Run takes Services, Jobs and WorkerPools only" "out" "leave it empty") }}
{{- end }}
{{- if ne $v.dashboard.exposure "none" }}
{{- include "common.refuse" (dict "key" "dashboard.exposure" "wrong" (printf "%s is a way into a cluster" $v.dashboard.exposure) "out" "set dashboard.exposure=none; dashboard.cloudRun.access says who sees it on Cloud Run") }}
{{- end }}
{{- if ne $v.dashboard.autoscaling.kind "none" }}
{{- include "common.refuse" (dict "key" "dashboard.autoscaling.kind" "wrong" "Cloud Run scales by itself" "out" "set it to none; dashboard.cloudRun.minInstances and .maxInstances bound it") }}
{{- end }}
{{- if and (gt (int $v.dashboard.cloudRun.maxInstances) 1) (not $v.dashboard.cookieSecret.existingSecret) }}
{{- include "common.refuse" (dict "key" "dashboard.cookieSecret.existingSecret" "wrong" "several instances must sign cookies alike" "out" "name a secret of Secret Manager, with its version as dashboard.cookieSecret.key (latest), or set dashboard.cloudRun.maxInstances=1") }}
{{- end }}
{{- range $name := list "simulator" "cleaner" "trainer" "dashboard" "dataflow" "bootstrap" }}
{{- $part := get $v $name }}
{{- if $part.enabled }}
{{- range $key := list "extraVolumes" "extraVolumeMounts" "extraInitContainers" "nodeSelector" "tolerations" "affinity" "priorityClassName" "podAnnotations" "podLabels" }}
{{- if get $part $key }}
{{- include "common.refuse" (dict "key" (printf "%s.%s" $name $key) "wrong" "there are no pods on Cloud Run" "out" "leave it empty") }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
