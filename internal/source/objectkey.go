package source

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/suggest"
)

// objectKeys are the keys that stand at the top of objects, first those by which an object is known.
var objectKeys = []string{"apiVersion", "kind", "metadata", "spec",
	"data", "stringData", "binaryData", "immutable", "type", "status", "rules", "subjects", "roleRef", "webhooks", "endpoints", "addressType", "ports", "subsets",
	"items", "parameters", "provisioner", "secrets", "imagePullSecrets", "automountServiceAccountToken", "value", "preemptionPolicy", "handler", "aggregationRule", "template"}

// IsObjectKey tells whether objects of a cluster have a key at their top.
func IsObjectKey(key string) bool { return slices.Contains(objectKeys, key) }

// MeantObjectKey is the key of objects that a word nearly is, or "".
func MeantObjectKey(word string) string { return suggest.Word(word, objectKeys) }

// MeantKind is the kind that is read whose name a word nearly is, as its plural or in another case, or "" for the name of a
// kind, and for others.
func MeantKind(word string) string {
	known := readNames()
	if slices.Contains(known, word) || isBuiltIn(word) {
		return ""
	}
	lower := strings.ToLower(word)
	forms := []string{lower, strings.TrimSuffix(lower, "s"), strings.TrimSuffix(lower, "es")}
	if stem, ok := strings.CutSuffix(lower, "ies"); ok {
		forms = append(forms, stem+"y")
	}
	for _, k := range known {
		if slices.Contains(forms, strings.ToLower(k)) || len(k) > 6 && suggest.Distance(lower, strings.ToLower(k)) == 1 {
			return k
		}
	}
	return ""
}
