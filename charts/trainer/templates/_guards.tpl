{{- define "trainer.guards" -}}
{{- $v := .Values }}
{{- if $v.autoscaling.enabled }}
{{- include "common.refuse" (dict "key" "trainer.autoscaling.enabled" "wrong" "one trainer learns at a time, in the order of the stream; more of them would only stand by" "out" "set it to false and choose the number of standbys with trainer.replicas (2 is enough)") }}
{{- end }}
{{- if and (gt (int $v.replicas) 1) (include "common.oneNode" (dict "root" .)) }}
{{- include "common.refuse" (dict "key" "trainer.replicas" "wrong" (printf "%d replicas cannot share a volume of %s" (int $v.replicas) (join ", " $v.global.checkpoints.volume.accessModes)) "out" "set trainer.replicas=1, or global.checkpoints.volume.accessModes={ReadWriteMany} with a storage class that can, or keep checkpoints in Cloud Storage (global.checkpoints.place)") }}
{{- end }}
{{- if and (gt (int $v.replicas) 1) $v.global.checkpoints.volume.enabled (eq $v.global.lock "checkpoints") }}
{{- include "common.refuse" (dict "key" "global.lock" "wrong" "replicas on different nodes cannot agree by a lock file on a shared volume" "out" "set global.lock=lease") }}
{{- end }}
{{- if and (eq $v.mode "push") (gt (int $v.replicas) 1) }}
{{- include "common.refuse" (dict "key" "trainer.mode" "wrong" "in push mode Pub/Sub would push to standbys, too, which refuse" "out" "set trainer.replicas=1, or trainer.mode=pull") }}
{{- end }}
{{- if and (eq $v.mode "push") (eq $v.push.auth "oidc") (not (and $v.push.audience $v.push.serviceAccount)) }}
{{- include "common.refuse" (dict "key" "trainer.push" "wrong" "with auth oidc the door must know whose token to let in" "out" "set trainer.push.audience and trainer.push.serviceAccount as the push subscription has them; trainer.push.auth=none lets everybody in") }}
{{- end }}
{{- include "common.loopGuards" (dict "root" . "component" "trainer" "values" $v) }}
{{- end }}
