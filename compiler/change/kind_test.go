package change

import "testing"

// TestCategoryOfToday: where settings differ that hold today and others that hold for endpoints to come, today's decide the category.
func TestCategoryOfToday(t *testing.T) {
	to := func(settings ...setting) *outcome {
		return (&outcome{passes: passing, end: "shop/cart", settings: settings}).seal()
	}
	ejection := setting{topic: Tuning, name: "outlier detection", value: "7"}
	socket := setting{topic: Encryption, name: "TLS to endpoints with labels", value: "mutual", latent: true}
	for _, c := range []struct {
		name       string
		base, head *outcome
		category   string
	}{
		{"both", to(), to(ejection, socket), Tuning},
		{"one for each side", to(socket), to(ejection), Tuning},
		{"only what is to come", to(), to(socket), Encryption},
	} {
		if kind, category := compareOutcomes(c.base, c.head); kind != Tuned || category != c.category {
			t.Errorf("%s: %s, %s, want %s", c.name, kind, category, c.category)
		}
	}
}
