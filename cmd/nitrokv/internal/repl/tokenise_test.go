package repl

import (
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTokenise(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{" \t ", nil},
		{"GET k", []string{"GET", "k"}},
		{"  GET\t k \r", []string{"GET", "k"}},
		{`SET k "a b"`, []string{"SET", "k", "a b"}},
		{`SET k 'a b'`, []string{"SET", "k", "a b"}},
		{`SET k ""`, []string{"SET", "k", ""}},
		{`SET k ''`, []string{"SET", "k", ""}},
		{`SET k "\n\r\t\b\a\x00\xFf\q\\\""`, []string{"SET", "k", "\n\r\t\b\a\x00\xffq\\\""}},
		{`SET k "\x4\xg1\x"`, []string{"SET", "k", "x4xg1x"}},
		{`SET k '\n\x00\''`, []string{"SET", "k", `\n\x00'`}},
		{`SET k 'say "hi"'`, []string{"SET", "k", `say "hi"`}},
		{`SET k "it's"`, []string{"SET", "k", "it's"}},
		{`SET k ab"c d"`, []string{"SET", "k", "abc d"}},
		{`SET k '{"a": "b c"}' EX 5`, []string{"SET", "k", `{"a": "b c"}`, "EX", "5"}},
		{`SET k back\slash`, []string{"SET", "k", `back\slash`}},
		{"SET ключ значение", []string{"SET", "ключ", "значение"}},
	} {
		tokens, wrong := tokenise(test.line)
		if wrong != nil || !slices.Equal(texts(tokens), test.want) {
			t.Errorf("%q: %q, %v; want %q", test.line, texts(tokens), wrong, test.want)
		}
		for _, token := range tokens {
			if alone, wrong := tokenise(test.line[token.start:token.end]); wrong != nil || len(alone) != 1 || alone[0].text != token.text {
				t.Errorf("%q: the argument %q is not what stands at %d to %d", test.line, token.text, token.start, token.end)
			}
		}
	}
}

// A mistake is at the quote that is not closed, or at the one that closes too early.
func TestTokeniseMistakes(t *testing.T) {
	for _, test := range []struct {
		line, want string
		at         int
	}{
		{`SET k "a`, "not closed", 6},
		{`SET k 'a`, "not closed", 6},
		{`SET k "a\"`, "not closed", 6},
		{`SET k "a\`, "not closed", 6},
		{`SET k 'a\'`, "not closed", 6},
		{`SET k it's`, "not closed", 8},
		{`SET k "a"b`, "followed by a space", 8},
		{`SET k 'a''b'`, "followed by a space", 8},
		{`SET k {"a": 1}`, "followed by a space", 9},
		{`"`, "not closed", 0},
	} {
		tokens, wrong := tokenise(test.line)
		if wrong == nil || wrong.at != test.at || !strings.Contains(wrong.text, test.want) {
			t.Errorf("%q: %v, %+v; want a complaint about %q at %d", test.line, tokens, wrong, test.want, test.at)
		}
	}
}

// Whatever bytes a reply is shown as inside "…", typing that gives the same bytes.
func TestQuotedComesBack(t *testing.T) {
	seed := time.Now().UnixNano()
	if s := os.Getenv("NK_SEED"); s != "" {
		seed, _ = strconv.ParseInt(s, 10, 64) // a wrong one is printed as 0
	}
	t.Logf("NK_SEED=%d", seed)
	random := rand.New(rand.NewSource(seed))
	for range 5000 {
		b := make([]byte, random.Intn(20))
		for i := range b {
			b[i] = byte(random.Intn(256))
			if random.Intn(2) == 0 {
				b[i] = "\\\"'x \n\xc3\xa9{"[random.Intn(9)]
			}
		}
		line := "SET k " + quoted(string(b))
		tokens, wrong := tokenise(line)
		if wrong != nil || len(tokens) != 3 || tokens[2].text != string(b) {
			t.Fatalf("%q is shown as %s and read as %q, %v", b, line, texts(tokens), wrong)
		}
	}
}

// FuzzLine: whatever is typed, its arguments stand in their order where they are said to stand, and what is explained is a
// place in the line.
func FuzzLine(f *testing.F) {
	for _, line := range []string{`SET k "a\x00\"b" 'c\'d'`, `SET k {"a": [1, "}"]} EX 5`, `SET k <<END`, `AUTH "p`, `é "`, `[{"`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		tokens, wrong := tokenise(line)
		at := 0
		for _, token := range tokens {
			if token.start < at || token.end <= token.start || token.end > len(line) {
				t.Fatalf("%q: %+v", line, tokens)
			}
			at = token.end
		}
		for _, c := range []*complaint{wrong, explainJSON(line)} {
			if c == nil {
				continue
			}
			if c.at < 0 || c.at >= len(line) || !strings.Contains(c.show(line), "^") {
				t.Fatalf("%q: %+v", line, c)
			}
		}
		isSecret(line)
		some().hint(line)
		some().complete(line)
	})
}
