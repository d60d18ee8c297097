{{/* What the settings of a stage loop must be to each other; the program would refuse them too, but only once it runs. */}}
{{- define "common.loopGuards" -}}
{{- $s := .values.settings }}
{{- $grace := int .values.terminationGracePeriodSeconds }}
{{- if lt $grace (int (add 20 (ceil $s.checkpointSeconds))) }}
{{- include "common.refuse" (dict "key" (printf "%s.terminationGracePeriodSeconds" .component) "wrong" (printf "within %d s it may not have written its last checkpoint" $grace) "out" (printf "set it to %s.settings.checkpointSeconds and 20 s more, at least" .component)) }}
{{- end }}
{{- if gt (float64 $s.checkpointMin) (float64 $s.checkpointSeconds) }}
{{- include "common.refuse" (dict "key" (printf "%s.settings.checkpointMin" .component) "wrong" "checkpoints cannot be farther apart at least than at most" "out" (printf "set it to no more than %s.settings.checkpointSeconds" .component)) }}
{{- end }}
{{- if lt (float64 $s.unacked) (divf $s.window 2.0) }}
{{- include "common.refuse" (dict "key" (printf "%s.settings.unacked" .component) "wrong" "less than half of the window: no checkpoint would come in time" "out" (printf "raise it, or lower %s.settings.window" .component)) }}
{{- end }}
{{- if lt (float64 $s.gapTimeout) (mulf 4.0 $s.ackDeadline) }}
{{- include "common.refuse" (dict "key" (printf "%s.settings.gapTimeout" .component) "wrong" "a batch that another pod held when it died comes back only after the ack deadline" "out" (printf "set it to four times %s.settings.ackDeadline at least" .component)) }}
{{- end }}
{{- end }}
