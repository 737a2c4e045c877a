package schema

import (
	"reflect"
	"sync"
	"testing"
)

// What a check finds is the same whatever its engine has seen before, and however many checks run at once; engines are kept for
// the next check, and none that has grown.
func TestEnginesAreKept(t *testing.T) {
	good := documents(t, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: b}\nspec: {hosts: [a.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n")
	bad := documents(t, "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: b}\nspec: {hosts: 7, port: [{number: 80}], resolution: NEVER}\n")
	_, want := Check(bad, Options{})
	if len(want) < 3 {
		t.Fatalf("only %v is found", want)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 4 {
				if _, found := Check(good, Options{}); len(found) > 0 {
					t.Errorf("a good object: %v", found)
				}
				if _, found := Check(bad, Options{}); !reflect.DeepEqual(found, want) {
					t.Errorf("%v, at first %v", found, want)
				}
			}
		})
	}
	wait.Wait()
	if len(idle) == 0 {
		t.Error("no engine waits for the next check")
	}
	for len(idle) > 0 {
		<-idle
	}
	e := newEngine()
	e.seen = idleValues + 1
	if e.release(); len(idle) > 0 {
		t.Error("an engine that has grown is kept")
	}
}
