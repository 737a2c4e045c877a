package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/meshc/meshc/internal/regular"
)

// configFile is where docker keeps what it knows of registries, or podman where docker has nothing.
func configFile() string {
	var candidates []string
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "config.json"))
	} else if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, ".docker", "config.json"))
	}
	if file := os.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		candidates = append(candidates, file)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "containers", "auth.json"))
	}
	for _, file := range candidates {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// storedCredentials reads them anew for each artifact, since tokens are replaced while a server runs. Helpers are programs.
func storedCredentials(helpers bool) (auth.CredentialFunc, error) {
	file := configFile()
	if file == "" {
		return nil, nil
	}
	info, err := os.Stat(file)
	if err == nil {
		err = regular.Check(file, info.Mode())
	}
	if err != nil {
		return nil, fmt.Errorf("the credentials of registries cannot be read: %w", err)
	}
	var store credentials.Store
	if helpers {
		store, err = credentials.NewStore(file, credentials.StoreOptions{})
	} else {
		store, err = credentials.NewFileStore(file)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, where the credentials of registries are: %w", file, err)
	}
	get := credentials.Credential(store)
	return func(ctx context.Context, host string) (auth.Credential, error) {
		c, err := get(ctx, host)
		if err != nil {
			return c, fmt.Errorf("the credentials of %s, by %s: %w", host, file, err)
		}
		return c, nil
	}, nil
}
