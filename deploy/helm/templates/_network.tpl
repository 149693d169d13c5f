{{- /* The labels of pods that use the broker, the database or the files. */ -}}
{{- define "pywhatsweb.uses" -}}
pywhatsweb/uses-{{ . }}: "yes"
{{ include "pywhatsweb.part" . }}
{{- end }}

{{- /* Every service has metrics. */ -}}
{{- define "pywhatsweb.measured" -}}
- key: app.kubernetes.io/name
  operator: In
  values: [dispatcher, persistence, kanban, tenancy, webhooks, gateway, session-worker]
{{- end }}

{{- /* Of (dict "name" … "of" or "uses" … "port" … "more" … "root" $): the internet, nothing inside but what `more` names. */ -}}
{{- define "pywhatsweb.outside" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{- include "pywhatsweb.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- if .of }}
      {{- include "pywhatsweb.labels" .of | nindent 6 }}
      {{- else }}
      {{- include "pywhatsweb.uses" .uses | nindent 6 }}
      {{- end }}
  policyTypes: [Egress]
  egress:
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except: {{- toYaml .root.Values.network.private | nindent 14 }}
      {{- with .port }}
      ports: [{port: {{ . }}}]
      {{- end }}
    {{- with .more }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
