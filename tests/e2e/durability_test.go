package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDurabilityNamesProofs: every proof that docs/DURABILITY.md names exists: tests here and of the packages, steps of make.
func TestDurabilityNamesProofs(t *testing.T) {
	root := filepath.Join("..", "..")
	text := mustRead(t, filepath.Join(root, "docs", "DURABILITY.md"))
	var sources []string
	for _, dir := range []string{".", filepath.Join(root, "engine"), filepath.Join(root, "server"), filepath.Join(root, "cmd/nitrokv")} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, files...)
	}
	var tests strings.Builder
	for _, name := range sources {
		tests.WriteString(mustRead(t, name))
	}
	names := regexp.MustCompile("`(Test[A-Z]\\w*|sim-\\w+|mutants)`").FindAllStringSubmatch(text, -1)
	if len(names) < 20 {
		t.Errorf("docs/DURABILITY.md names %d proofs only; has its form changed?", len(names))
	}
	makefile := mustRead(t, filepath.Join(root, "Makefile"))
	for _, n := range names {
		in, want := tests.String(), "func "+n[1]+"(t *testing.T)"
		if !strings.HasPrefix(n[1], "Test") {
			in, want = makefile, "\n"+n[1]+":"
		}
		if !strings.Contains(in, want) {
			t.Errorf("docs/DURABILITY.md names %s as a proof, and there is no such thing", n[1])
		}
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
