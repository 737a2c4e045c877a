package names

import (
	"encoding/json"
	"testing"
)

func TestClusters(t *testing.T) {
	for name, want := range map[string]Cluster{
		Outbound(80, "v1", "a.b"):   {Port: 80, Subset: "v1", Host: "a.b"},
		Outbound(9080, "", "*.a"):   {Port: 9080, Host: "*.a"},
		Outbound(0, "", "a"):        {Host: "a"},
		Inbound(8080):               {Inbound: true, Port: 8080},
		"outbound|80|v1|a.b":        {Port: 80, Subset: "v1", Host: "a.b"},
		"inbound|8080||":            {Inbound: true, Port: 8080},
		"outbound|80|s|a.example.c": {Port: 80, Subset: "s", Host: "a.example.c"},
	} {
		if got, ok := ParseCluster(name); !ok || got != want {
			t.Errorf("%s is %+v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", BlackHoleCluster, "outbound|80|a", "outbound|x||a", "other|80||a", "outbound|70000||a", "outbound_.80_._.a"} {
		if got, ok := ParseCluster(name); ok {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

func TestPorts(t *testing.T) {
	for name, want := range map[string]uint32{Routes(9080): 9080, HostRoutes("a.b", 80): 80, HostRoutes("[::1]", 80): 80, Inbound(8080): 8080} {
		if got, ok := RoutesPort(name); !ok || got != want {
			t.Errorf("%s is about port %d, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "allow_any", "unix:///a/b", ServerRoutes(80, ""), Outbound(80, "", "a")} {
		if got, ok := RoutesPort(name); ok {
			t.Errorf("%s is about port %d", name, got)
		}
	}
	for name, want := range map[string]uint32{Listener("0.0.0.0", 80): 80, Listener("::1", 65535): 65535, Listener("a_b", 1): 1} {
		if got, ok := ListenerPort(name); !ok || got != want {
			t.Errorf("%s is on port %d, %t", name, got, ok)
		}
	}
	if _, ok := ListenerPort(VirtualInbound); ok {
		t.Error("virtualInbound has a port in its name")
	}
	if !TLSRoutes(TLSServerRoutes(443, "https", "gw", "ns", "10.0.0.1")) || TLSRoutes(ServerRoutes(80, "")) {
		t.Error("TLS is not told by the name")
	}
}

func TestPolicies(t *testing.T) {
	p := Policy{Namespace: "ns", Name: "a.b-c", Rule: 12}
	for _, name := range []string{p.String(), CustomPrefix + p.String()} {
		if got, ok := ParsePolicy(name); !ok || got != p {
			t.Errorf("%s is %+v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "ns[a]", "ns[a]-policy[b]", "ns[a]-policy[b]-rule[x]", "ns[a]-policy[b]-rule[1"} {
		if got, ok := ParsePolicy(name); ok {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

func TestSecrets(t *testing.T) {
	for name, want := range map[string]Secret{
		OwnCertificate:                         {Kind: OwnSecret},
		OwnRoots:                               {Kind: OwnRootsSecret},
		FileCertificate("/a/c", "/a/k"):        {Kind: FileSecret, Cert: "/a/c", Key: "/a/k"},
		FileCertificate("/a~b/c", "/a~b/k"):    {Kind: FileSecret, Cert: "/a~b/c", Key: "/a~b/k"},
		FileCertificate("~c", "/k"):            {Kind: FileSecret, Cert: "~c", Key: "/k"},
		"file-cert:/a":                         {Kind: FileSecret},
		FileRoots(SystemRoots):                 {Kind: FileRootsSecret, Roots: SystemRoots},
		Credential("web"):                      {Kind: StoredSecret, Name: "web"},
		CredentialRoots(Credential("web")):     {Kind: StoredSecret, Name: "web", CA: true},
		Credential("kubernetes://web"):         {Kind: StoredSecret, Name: "web"},
		Credential("kubernetes-gateway://n/w"): {Kind: StoredSecret, Namespace: "n", Elsewhere: true, Name: "w"},
		Credential("configmap://roots"):        {Kind: StoredRoots, Name: "roots"},
		"builtin://":                           {},
		"web":                                  {},
	} {
		if got := ParseSecret(name); got != want {
			t.Errorf("%s is %+v", name, got)
		}
	}
	if s := ParseSecret("kubernetes://web-cacert"); s.FullName() != "web-cacert" {
		t.Error(s.FullName())
	}
}

func TestClasses(t *testing.T) {
	if id := Class(true, "ns", "gw", "east"); id != "router/ns/gw@east" || ClassProxies(id) != "ns/gw@east" {
		t.Error(id)
	}
	if id := Class(false, "ns", "web", ""); id != "sidecar/ns/web" || ClassProxies(id) != "ns/web" {
		t.Error(id)
	}
}

func TestVirtualHosts(t *testing.T) {
	if rc, vh := ParseVirtualHost(VirtualHost("unix:///a", "h:80")); rc != "unix:///a" || vh != "h:80" {
		t.Error(rc, vh)
	}
}

func TestParts(t *testing.T) {
	for want, p := range map[string]Part{
		`{"part":"route","index":0}`: RoutePart(0), `{"part":"route","index":12}`: RoutePart(12), `{"part":"chain","name":"a\"b"}`: ChainPart(`a"b`),
		`{"part":"rule","name":"r"}`: RulePart("r"), `{"part":"provider","name":"origins-0"}`: ProviderPart(TokenProvider(0)),
	} {
		b, err := json.Marshal(p)
		if err != nil || string(b) != want {
			t.Errorf("%+v is %s, %v", p, b, err)
		}
		var back Part
		if err := json.Unmarshal(b, &back); err != nil || back != p {
			t.Errorf("%s is %+v, %v", b, back, err)
		}
	}
	for _, bad := range []string{`{}`, `{"part":""}`, `{"part":"other"}`, `"route"`} {
		if err := json.Unmarshal([]byte(bad), &Part{}); err == nil {
			t.Errorf("%s is a part", bad)
		}
	}
	if ComparePart(RoutePart(2), RoutePart(10)) >= 0 || ComparePart(Part{}, ChainPart("a")) >= 0 {
		t.Error("parts are out of order")
	}
}

// TestSides: which side of a sidecar a resource is of, and which SNI is the mesh's own.
func TestSides(t *testing.T) {
	for name, want := range map[string]bool{Inbound(8080): true, VirtualInbound: true, InboundPassthroughCluster: true, "InboundPassthroughClusterIpv4": true,
		Outbound(80, "", "a.b"): false, VirtualOutbound: false, PassthroughCluster: false, "inbound": false} {
		if IsInbound(name) != want {
			t.Errorf("IsInbound(%s) = %t", name, !want)
		}
	}
	for name, want := range map[string]bool{Outbound(80, "v1", "a.b"): true, Inbound(80): false, BlackHoleCluster: false, "outbound|x||a": false} {
		if IsOutbound(name) != want {
			t.Errorf("IsOutbound(%s) = %t", name, !want)
		}
	}
	if c, ok := ParseServerName(ServerName(80, "v1", "a.b")); !ok || c != (Cluster{Port: 80, Subset: "v1", Host: "a.b"}) {
		t.Errorf("ParseServerName = %+v, %t", c, ok)
	}
	if _, ok := ParseServerName("outbound_.x_._.a.b"); ok {
		t.Error("a server name without a port is read")
	}
	if !IsServerName(ServerName(80, "", "a.b")) || IsServerName("a.b") {
		t.Error("server names of the mesh are not told from others")
	}
}
