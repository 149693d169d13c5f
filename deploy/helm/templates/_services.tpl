{{- /*
What the services of the fleet are, beyond what values say: whom they talk to, what of pww-fleet they are given, and their
environment. In this order they are written.
*/ -}}
{{- define "pywhatsweb.services" -}}
- name: dispatcher
  uses: [nats, database]
  keys: [database_url]
- name: persistence
  uses: [nats, database, media]
  keys: [database_url, encryption.key]
- name: kanban
  uses: [nats, database]
  keys: [database_url]
- name: webhooks
  uses: [nats, database]
  keys: [database_url, encryption.key]
- name: gateway
  uses: [nats]
  keys: []
  env:
    - {name: PWW_HTTP_HOST, value: 0.0.0.0}
    - {name: PWW_HTTP_PORT, value: "8080"}
  ports: [{name: http, containerPort: 8080}]
- name: session-worker
  image: worker
  uses: [nats, database, media]
  keys: [database_url, encryption.key]
  env:
    - name: PWW_WORKER_ID
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- if .Values.services.tenancy.enabled }}
- name: tenancy
  alone: true
  uses: [nats, database, media]
  keys: [database_url]
  env:
    - {name: PWW_SECRETS_DIR, value: /state}
    - {name: PWW_BROKER_DIR, value: /configuration}
  mounts:
    - {name: state, mountPath: /state}
    - {name: configuration, mountPath: /configuration}
{{- end }}
{{- end }}

{{- /* Of (dict "service" … "root" $): its user, its own environment, and what values add. */ -}}
{{- define "pywhatsweb.env" -}}
- {name: PWW_NATS_USER, value: {{ .service.name | replace "-" "_" }}}
{{- with .service.env }}
{{ toYaml . }}
{{- end }}
{{- if has "encryption.key" .service.keys }}
- {name: PWW_ENCRYPTION_KEY_FILE, value: /secrets/encryption.key}
{{- end }}
{{- range $name, $value := (index .root.Values.services .service.name).env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- /* Of (dict "service" … "root" $): of the secrets only what it needs: its own user, not the platform's. */ -}}
{{- define "pywhatsweb.secrets" -}}
- name: secrets
  projected:
    defaultMode: 288
    sources:
      {{- if .service.keys }}
      - secret:
          name: {{ .root.Values.secrets.fleet }}
          items:
            {{- range .service.keys }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- end }}
      - secret:
          name: {{ .root.Values.secrets.users }}
          items: [{key: {{ .service.name | replace "-" "_" }}, path: nats_password}]
{{- end }}

{{- /* Of the root: tenancy's volumes begin as copies of the Secrets; only what is not there yet is copied. */ -}}
{{- define "pywhatsweb.first-secrets" -}}
- name: first-secrets
  image: {{ include "pywhatsweb.image" (dict "image" .Values.images.services "root" .) }}
  command: ["sh", "-c", "cp -n -L /initial/secrets.json /state/ || true; cp -n -L /initial-nats/* /configuration/ || true"]
  {{- include "pywhatsweb.copying" . | nindent 2 }}
  volumeMounts:
    - {name: initial, mountPath: /initial, readOnly: true}
    - {name: initial-nats, mountPath: /initial-nats, readOnly: true}
    - {name: state, mountPath: /state}
    - {name: configuration, mountPath: /configuration}
{{- end }}

{{- define "pywhatsweb.tenancy-volumes" -}}
- name: initial
  secret: {secretName: {{ .Values.secrets.root }}, defaultMode: 288}
- name: initial-nats
  secret: {secretName: {{ .Values.secrets.nats }}, defaultMode: 288}
- name: state
  persistentVolumeClaim: {claimName: tenancy-secrets}
- name: configuration
  persistentVolumeClaim: {claimName: nats-configuration}
{{- end }}
