package lab

import (
	"slices"
	"testing"
)

func TestReadRepository(t *testing.T) {
	repo, err := readRepository("../../examples/bookinfo/overlays/demo")
	if err != nil {
		t.Fatal(err)
	}
	var sidecars, gateways []string
	for _, w := range repo.workloads {
		switch {
		case w.Sidecar:
			sidecars = append(sidecars, w.Name)
		case w.Gateway:
			gateways = append(gateways, w.Name)
		}
	}
	if want := []string{"details-v1-0", "productpage-v1-0", "ratings-v1-0", "reviews-v1-0", "reviews-v2-0", "reviews-v3-0"}; !slices.Equal(sidecars, want) {
		t.Errorf("sidecars %v, want %v", sidecars, want)
	}
	if want := []string{"ingress-0"}; !slices.Equal(gateways, want) {
		t.Errorf("gateways %v, want %v", gateways, want)
	}
	if ip := repo.hosts("bookinfo")["reviews"]; ip != "10.96.8.3" {
		t.Errorf("reviews is %q in its own namespace", ip)
	}
	if ip, ok := repo.hosts("ingress")["reviews"]; ok {
		t.Errorf("reviews is %q in another namespace, want no such name", ip)
	}
	if ip := repo.hosts("ingress")["reviews.bookinfo"]; ip != "10.96.8.3" {
		t.Errorf("reviews.bookinfo is %q in another namespace", ip)
	}
}
