package codec

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "add the vectors that the corpus of fuzz_nbp lacks")

const corpus = "../fuzz/corpus/nbp"

// The first byte of an input of fuzz_nbp says how the rest is cut: this one, into pieces of up to 64 bytes.
const corpusCut = 0x05

// The fuzzer of the C parser starts from every golden request: alone, or within a longer input.
func TestCorpusHoldsEveryVector(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(corpus, "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", corpus, len(paths), err)
	}
	var inputs [][]byte
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, b[min(1, len(b)):])
	}
	for _, v := range loadVectors(t) {
		if !heldBy(inputs, v.bytes) {
			addToCorpus(t, v)
		}
	}
}

func heldBy(inputs [][]byte, request []byte) bool {
	for _, b := range inputs {
		if bytes.Contains(b, request) {
			return true
		}
	}
	return false
}

// addToCorpus writes the file of a vector if -update says so, and fails otherwise.
func addToCorpus(t *testing.T, v vector) {
	t.Helper()
	path := filepath.Join(corpus, "vector_"+v.name)
	if !*update {
		t.Errorf("no input of fuzz_nbp holds the vector %s: run go test ./codec -run Corpus -update in tests/", v.name)
		return
	}
	if err := os.WriteFile(path, append([]byte{corpusCut}, v.bytes...), 0o644); err != nil {
		t.Fatal(err)
	}
}
