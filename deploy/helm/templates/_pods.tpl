{{- /* What every object is labelled with, and every selector asks for. */ -}}
{{- define "pywhatsweb.part" -}}
app.kubernetes.io/part-of: pywhatsweb
{{- end }}

{{- /* A part's own labels, of its name. */ -}}
{{- define "pywhatsweb.labels" -}}
app.kubernetes.io/name: {{ . }}
{{ include "pywhatsweb.part" . }}
{{- end }}

{{- /* Of (dict "name" … "root" $): the metadata of an object that is not a pod. */ -}}
{{- define "pywhatsweb.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "pywhatsweb.part" . | nindent 2 }}
{{- end }}

{{- /* Of (dict "image" … "root" $): with its tag, unless a digest says which one it is. */ -}}
{{- define "pywhatsweb.image" -}}
{{- if contains "@" .image }}{{ .image }}{{ else }}{{ .image }}:{{ .root.Values.images.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* Of the root: where the broker is, for every service. */ -}}
{{- define "pywhatsweb.brokers" -}}
{{- if gt (int .Values.nats.replicas) 1 -}}
{{- $nodes := list }}
{{- range $n := until (int .Values.nats.replicas) }}{{ $nodes = append $nodes (printf "nats://nats-%d.nats:4222" $n) }}{{ end }}
{{- join "," $nodes }}
{{- else -}}
nats://nats:4222
{{- end }}
{{- end }}

{{- /* Of (dict "user" … "root" $ "values" … "change" …): the beginning of a pod's specification. */ -}}
{{- define "pywhatsweb.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  {{- with .change }}
  fsGroupChangePolicy: {{ . }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.pod }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Of the root: what every container may not do. */ -}}
{{- define "pywhatsweb.contained" -}}
{{- with .Values.images.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* Of the root: an init container's, which copies a few files. */ -}}
{{- define "pywhatsweb.copying" -}}
resources:
  requests: {cpu: 10m, memory: 16Mi}
  limits: {memory: 64Mi}
{{ include "pywhatsweb.contained" . | trim }}
{{- end }}

{{- /* Of (dict "size" … "class" …): how large a claim is, and of which class if one is named. */ -}}
{{- define "pywhatsweb.claim" -}}
{{- with .class }}
storageClassName: {{ . }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end }}

{{- /* Of (dict "name" … "root" $): one of its pods at a time may be moved. */ -}}
{{- define "pywhatsweb.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "pywhatsweb.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "pywhatsweb.labels" .name | nindent 6 }}
{{- end }}

{{- /* Of (dict "name" … "root" $): pods talk to no API server. */ -}}
{{- define "pywhatsweb.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata: {{- include "pywhatsweb.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
