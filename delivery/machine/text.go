package machine

// proxyUnit starts Envoy. Those who stop it have its listeners drained first, where the machine has curl.
const proxyUnit = `[Unit]
Description=Envoy, the proxy of this machine in the mesh
Wants=network-online.target
After=network-online.target

[Service]
User={{.User}}
Group={{.User}}
ExecStart={{.O.Envoy}} --config-path {{.Bootstrap}} --drain-time-s 45 --drain-strategy immediate --disable-hot-restart --log-level warning
ExecStop=-/usr/bin/curl --silent --show-error --max-time 2 --request POST http://{{.O.Admin}}/drain_listeners?graceful
ExecStop=-/usr/bin/sleep 5
Restart=always
RestartSec=1
LimitNOFILE=1048576
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
{{- if .O.Gateway}}
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
{{- else}}
CapabilityBoundingSet=
{{- end}}

[Install]
WantedBy=multi-user.target
`

// interceptionUnit installs the rules when the proxy is there, and takes them away with it.
const interceptionUnit = `[Unit]
Description=Connections of this machine go through its proxy
Requires=meshc-proxy.service
PartOf=meshc-proxy.service
After=meshc-proxy.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file {{.Rules}}
ExecStop=-/usr/sbin/nft delete table ip {{.Table}}
ExecStop=-/usr/sbin/nft delete table ip6 {{.Table}}

[Install]
WantedBy=meshc-proxy.service
`

const users = `g meshc-proxy {{.User}}
u meshc-proxy {{.User}}:{{.User}} "proxy of the mesh"
`

const readme = `This machine as a member of the mesh
====================================
The archive was unpacked at / (tar -C / -xzf ARCHIVE). What is left, as root:

1. Put Envoy at {{.O.Envoy}}, and have nftables installed.
2. systemd-sysusers
   The proxy runs as user {{.User}}, by which the rules tell its connections from those of the machine.
{{- if .O.Hosts}}
3. cat {{.Hosts}} >> /etc/hosts
   These names have to be known before the proxy is there.
{{- end}}

Identity
{{- if .O.Identity.Socket}}
  The proxy asks the agent of SPIRE at {{.O.Identity.Socket}} for its certificate. On a host with
  access to the SPIRE server, once:
    spire-server token generate -spiffeID spiffe://TRUST-DOMAIN/machines/NAME
    spire-server entry create -parentID spiffe://TRUST-DOMAIN/machines/NAME \
      -spiffeID {{.O.Identity.SPIFFE}} -selector unix:uid:{{.User}}
  and on this machine spire-agent run -joinToken TOKEN, with socket_path = {{.O.Identity.Socket}} and the
  workload attestor unix. The token counts once; what the agent gets for it, it renews itself.
{{- else if .O.Identity.Cert}}
  {{.O.Identity.Cert}}, {{.O.Identity.Key}} and {{.O.Identity.RootsAt}} have to be there, readable by user {{.User}}, of
    {{.O.Identity.SPIFFE}}
  They are read again when their folder, or a link to it, is renamed.
{{- else}}
  The proxy has none, and asks the server in plain text.
{{- end}}

Start
  systemctl daemon-reload
  systemctl enable --now meshc-proxy{{if not .O.Gateway}} meshc-interception{{end}}
  curl http://127.0.0.1:15021/healthz/ready

Undo
  systemctl disable --now meshc-proxy{{if not .O.Gateway}} meshc-interception{{end}}
  With the proxy the rules go, and connections of the machine are as they were before.
`
