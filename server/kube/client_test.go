package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCredentialProgram: a kubeconfig whose credentials come from a program that is not there is refused at once, and one whose
// program is there is taken; nothing runs it before a request is made.
func TestCredentialProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "credentials")
	config := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n" +
		"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: " + program + ", interactiveMode: Never}}}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(Options{Kubeconfig: config}); err == nil || !strings.Contains(err.Error(), program) || !strings.Contains(err.Error(), "token") {
		t.Errorf("a program that is not there: %v", err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(Options{Kubeconfig: config})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
