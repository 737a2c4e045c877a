package mesh

import (
	"cmp"
	"slices"

	"github.com/meshc/meshc/schema"
)

// byAge orders objects as Istio breaks ties: metadata.creationTimestamp where the file has one, then name, then
// namespace. Git has no creation times, so mostly name and namespace decide.
func byAge(a, b *schema.Object) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind))
}

func sortByAge[T any](list []T, object func(T) *schema.Object) {
	slices.SortStableFunc(list, func(a, b T) int { return byAge(object(a), object(b)) })
}

// sortServices orders services as Istio does: by age, then by the name of a Kubernetes Service or the host of a
// ServiceEntry, then by namespace. The names of ServiceEntries decide last, between two with one host.
func sortServices(list []*Service) {
	name := func(s *Service) string {
		if s.Kubernetes {
			return s.Name
		}
		return s.Hostname
	}
	slices.SortStableFunc(list, func(a, b *Service) int {
		return cmp.Or(a.Object.Created.Compare(b.Object.Created), cmp.Compare(name(a), name(b)), cmp.Compare(a.Namespace, b.Namespace), byAge(a.Object, b.Object))
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
