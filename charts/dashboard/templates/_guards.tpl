{{- define "dashboard.guards" -}}
{{- $v := .Values }}
{{- $e := $v.exposure }}
{{- if and $v.iap.enabled (not (has $e (list "ingress" "gateway"))) }}
{{- include "common.refuse" (dict "key" "dashboard.iap.enabled" "wrong" (printf "Identity-Aware Proxy guards a load balancer of GKE's, and with exposure %s there is none" $e) "out" "set dashboard.exposure to ingress or gateway, or dashboard.iap.enabled=false") }}
{{- end }}
{{- if and (has $e (list "ingress" "gateway")) (not $v.host) }}
{{- include "common.refuse" (dict "key" "dashboard.host" "wrong" (printf "exposure %s needs the name that people type" $e) "out" "set dashboard.host=thunder.example.org") }}
{{- end }}
{{- if and (eq $e "gateway") (not $v.gateway.name) }}
{{- include "common.refuse" (dict "key" "dashboard.gateway.name" "wrong" "an HTTPRoute belongs to a Gateway" "out" "set dashboard.gateway.name (and .namespace, .sectionName) to one that is there; this chart makes none") }}
{{- end }}
{{- if and $v.iap.enabled (eq $e "gateway") (ne (empty $v.iap.clientId) (empty $v.iap.secretName)) }}
{{- include "common.refuse" (dict "key" "dashboard.iap.clientId" "wrong" "a Gateway needs both the OAuth client's id and the Secret with its secret, or neither" "out" "set dashboard.iap.clientId and dashboard.iap.secretName, or leave both empty for Google's own client") }}
{{- end }}
{{- if and (eq $e "loadBalancer") (not $v.loadBalancer.internal) (not $v.loadBalancer.sourceRanges) (not $v.loadBalancer.public) }}
{{- include "common.refuse" (dict "key" "dashboard.loadBalancer.sourceRanges" "wrong" "without them the whole internet may look" "out" "list the networks that may, or set dashboard.loadBalancer.internal=true, or say that you mean it with dashboard.loadBalancer.public=true") }}
{{- end }}
{{- $many := or (gt (int $v.replicas) 1) (ne $v.autoscaling.kind "none") }}
{{- if and $many (not $v.cookieSecret.create) (not $v.cookieSecret.existingSecret) }}
{{- include "common.refuse" (dict "key" "dashboard.cookieSecret" "wrong" "replicas that sign cookies differently refuse each other's visitors" "out" "set dashboard.cookieSecret.create=true, or dashboard.cookieSecret.existingSecret to a Secret of yours") }}
{{- end }}
{{- if and (eq $v.autoscaling.kind "keda") (not $v.autoscaling.triggers) }}
{{- include "common.refuse" (dict "key" "dashboard.autoscaling.triggers" "wrong" "KEDA has nothing to scale by" "out" "list KEDA triggers, or set dashboard.autoscaling.kind=hpa") }}
{{- end }}
{{- if lt (int $v.autoscaling.maxReplicas) (int $v.autoscaling.minReplicas) }}
{{- include "common.refuse" (dict "key" "dashboard.autoscaling.maxReplicas" "wrong" "less than dashboard.autoscaling.minReplicas" "out" "raise it") }}
{{- end }}
{{- if and (eq $e "ingress") $v.ingress.managedCertificate $v.ingress.tlsSecret }}
{{- include "common.refuse" (dict "key" "dashboard.ingress.tlsSecret" "wrong" "the certificate comes from the Secret or from Google, not from both" "out" "leave it empty, or set dashboard.ingress.managedCertificate=false") }}
{{- end }}
{{- end }}

{{/* The path under which it is served, with a slash before and none behind; nothing at the root. */}}
{{- define "dashboard.path" -}}
{{- with .Values.baseUrlPath }}/{{ . }}{{ end -}}
{{- end }}

{{/* Whether it is reached through a load balancer of GKE's. */}}
{{- define "dashboard.onGke" -}}
{{- if and .Values.gke (has .Values.exposure (list "ingress" "gateway")) -}}true{{- end -}}
{{- end }}
