package airgap

import (
	"fmt"

	"github.com/meshc/meshc/compiler/bundle"
)

// page says what to do with the files, to somebody who has nothing but them.
func page(b *bundle.Bundle) []byte {
	return fmt.Appendf(nil, `# A bundle of meshc for a site without a network

| | |
|---|---|
| bundle | %s |
| source | %s |
| compiler | meshc %s |
| trust domain | %s |
| Envoy | %s or newer |

## Take it in
With meshc, which verifies everything and puts the bundle in place in one step:

    meshc bundle import FILE --trust /etc/meshc/trust.yaml -o /srv/mesh/bundle.tar.gz
    meshc serve /srv/mesh/bundle.tar.gz --trust /etc/meshc/trust.yaml

/etc/meshc/trust.yaml is the site's own list of keys. The one in this file says which keys count where the bundle comes from. It
proves nothing by itself: compare it with what came another way before you copy it.

## Verify it with other tools

    tar xf FILE
    sha256sum -c SHA256SUMS
    cosign verify-blob-attestation --key release.pub --insecure-ignore-tlog=true --type slsaprovenance1 \
      --bundle bundle.tar.gz.sigstore.json bundle.tar.gz
    tar xzf bundle.tar.gz && sha256sum -c digest

The first line that the last command reads is the digest of the bundle, the one above.

## Go back
Keep the bundle before. Putting it back, with its signature beside it, is taken into service unless the server was told to trust
signed bundles only: then start it with --allow-older and the digest of that bundle.
`, b.Digest, b.Provenance.Source, b.Provenance.Compiler, b.TrustDomain, b.EnvoyMin)
}
