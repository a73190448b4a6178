{{/* Names and labels. Selector labels are part of what a StatefulSet can never change. */}}
{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: a StatefulSet's pods and their revision label add eleven more to a 63 limit. */}}
{{- define "tidegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "tidegate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tidegate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Facts read from `config`, so that nobody writes them twice. */}}
{{- define "tidegate.port" -}}
{{- $listen := dig "http" "listen" "" .Values.config -}}
{{- if not (regexMatch "^.+:[0-9]+$" $listen) -}}
{{- fail (printf "config.http.listen must be ADDRESS:PORT, it is %q" $listen) -}}
{{- end -}}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" $listen -}}
{{- fail (printf "config.http.listen is %q: on loopback neither the probes nor the Service reach it; use 0.0.0.0:PORT or [::]:PORT" $listen) -}}
{{- end -}}
{{- splitList ":" $listen | last -}}
{{- end -}}

{{/* The volume is mounted at the parent: the daemon makes the folder itself and so owns it. */}}
{{- define "tidegate.volumeDir" -}}
{{- dig "state" "dir" "" .Values.config | dir -}}
{{- end -}}

{{- define "tidegate.localDetectorsDir" -}}
{{- printf "%s/local" (dig "detectors" "dir" "" .Values.config) -}}
{{- end -}}

{{/*
A ConfigMap is read by everyone who may read the namespace, so a secret in `config` or `detectors` stops
the release. Two signs: the forms that only secrets have, and a text under a key that is named like
one. Takes a dict with value and path.
*/}}
{{- define "tidegate.refuseSecrets" -}}
{{- $path := .path -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $here := printf "%s.%s" $path $key -}}
{{- if and (kindIs "string" $value) $value (regexMatch "(?i)(^|[._-])(password|passphrase|secret|token|api[._-]?key|private[._-]?key)$" $key) -}}
{{- fail (printf "%s looks like a secret written out; keep it in a Secret, name it in `secrets` and refer to it as %s_env or %s_file" $here $key $key) -}}
{{- end -}}
{{- include "tidegate.refuseSecrets" (dict "value" $value "path" $here) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "tidegate.refuseSecrets" (dict "value" $value "path" (printf "%s[%d]" $path $index)) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if regexMatch "whs(ec|k)_[A-Za-z0-9+/=]{8}|-----BEGIN [A-Z ]*PRIVATE KEY" .value -}}
{{- fail (printf "%s holds a secret; keep it in a Secret and name it in `secrets`" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What `config` refers to must be given, or the pods would not start and only their log would say why:
each `..._env` a variable of `secrets.env` or `env`, each path below /run/secrets/tidegate a Secret of
`secrets.files`. Takes a dict with value, path and root.
*/}}
{{- define "tidegate.requireReferences" -}}
{{- $path := .path -}}
{{- $root := .root -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $here := printf "%s.%s" $path $key -}}
{{- if and (kindIs "string" $value) $value (hasSuffix "_env" $key) -}}
{{- if not (or (hasKey $root.Values.secrets.env $value) (hasKey $root.Values.env $value)) -}}
{{- fail (printf "%s names the variable %s, which neither secrets.env nor env gives" $here $value) -}}
{{- end -}}
{{- end -}}
{{- include "tidegate.requireReferences" (dict "value" $value "path" $here "root" $root) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "tidegate.requireReferences" (dict "value" $value "path" (printf "%s[%d]" $path $index) "root" $root) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if hasPrefix "/run/secrets/tidegate/" .value -}}
{{- $name := index (splitList "/" .value) 4 -}}
{{- if not (hasKey $root.Values.secrets.files $name) -}}
{{- fail (printf "%s is %s, but secrets.files has no %q" $path .value $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A ConfigMap's key cannot hold a slash, a detector's path does. */}}
{{- define "tidegate.detectorKey" -}}
{{- . | replace "/" "__" -}}
{{- end -}}

{{/* What the daemon's container and the test's check have in common. */}}
{{- define "tidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "tidegate.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.securityContext }}
{{- if not (kindIs "invalid" .runAsUser) }}
runAsUser: {{ int64 .runAsUser }}
{{- end }}
{{- if not (kindIs "invalid" .runAsGroup) }}
runAsGroup: {{ int64 .runAsGroup }}
{{- end }}
{{- if not (kindIs "invalid" .fsGroup) }}
fsGroup: {{ int64 .fsGroup }}
{{- /* Without it every start walks the whole volume to change its group. */}}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "tidegate.env" -}}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $from := .Values.secrets.env }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.existingSecret }}
      key: {{ $from.key }}
{{- end }}
{{- end -}}

{{- define "tidegate.configMounts" -}}
- name: config
  mountPath: /etc/tidegate
  readOnly: true
{{- if .Values.detectors }}
{{- /* A subPath, and so a plain folder: a ConfigMap's own top level holds every file twice, once
behind the `..data` link, and a detector found twice is a fault. */}}
- name: detectors
  mountPath: {{ include "tidegate.localDetectorsDir" . }}
  subPath: local
  readOnly: true
{{- end }}
{{- range $name, $_ := .Values.secrets.files }}
- name: secret-{{ $name }}
  mountPath: /run/secrets/tidegate/{{ $name }}
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidegate.configVolumes" -}}
- name: config
  configMap:
    name: {{ include "tidegate.fullname" . }}-config
{{- if .Values.detectors }}
- name: detectors
  configMap:
    name: {{ include "tidegate.fullname" . }}-detectors
    items:
      {{- range $path, $_ := .Values.detectors }}
      - key: {{ include "tidegate.detectorKey" $path }}
        path: local/{{ $path }}
      {{- end }}
{{- end }}
{{- range $name, $from := .Values.secrets.files }}
- name: secret-{{ $name }}
  secret:
    secretName: {{ $from.existingSecret }}
    {{- /* Readable through fsGroup, by nobody else. */}}
    defaultMode: 0440
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
