package differ

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section returns what stands in docs/REDIS.md under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/REDIS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/REDIS.md has no section %q", heading)
	}
	body, _, _ := strings.Cut(after, "\n## ")
	return body
}

// compareNames reports what is in only one of two lists.
func compareNames(t *testing.T, what, inDocs string, docs []string, inCode string, code []string) {
	t.Helper()
	for _, name := range docs {
		if !slices.Contains(code, name) {
			t.Errorf("the %s %s is in %s and not in %s", what, name, inDocs, inCode)
		}
	}
	for _, name := range code {
		if !slices.Contains(docs, name) {
			t.Errorf("the %s %s is in %s and not in %s", what, name, inCode, inDocs)
		}
	}
	slices.Sort(docs)
	if len(slices.Compact(slices.Clone(docs))) != len(docs) {
		t.Errorf("%s names a %s twice: %v", inDocs, what, docs)
	}
}

// docs/REDIS.md explains the accepted differences, and no others.
func TestDocsListTheDifferences(t *testing.T) {
	var docs, code []string
	row := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| .+ \\| .+ \\|$")
	for _, m := range row.FindAllStringSubmatch(section(t, "What differs"), -1) {
		docs = append(docs, m[1])
	}
	for _, a := range acceptedDifferences {
		if a.reason == "" {
			t.Errorf("%s has no reason", a.name)
		}
		code = append(code, a.name)
	}
	compareNames(t, "difference", "docs/REDIS.md", docs, "accepted_test.go", code)
}

// docs/REDIS.md lists the verbs that COMMAND lists.
func TestDocsListTheVerbs(t *testing.T) {
	table, _, _ := strings.Cut(section(t, "Verbs"), "\n\n`COMMAND DOCS`")
	var docs, code []string
	for _, m := range regexp.MustCompile("`([A-Z]+)`").FindAllStringSubmatch(table, -1) {
		docs = append(docs, m[1])
	}
	for _, name := range elements(t, startNitro(t).dial(t), "COMMAND", "LIST") {
		code = append(code, strings.ToUpper(name))
	}
	compareNames(t, "verb", "docs/REDIS.md", docs, "COMMAND LIST", code)
}

// docs/REDIS.md names the versions of the clients that are tested.
func TestDocsNameTheClients(t *testing.T) {
	var pinned []byte
	for _, file := range []string{"../go.mod", "../requirements.txt", "../package.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pinned = append(pinned, text...)
	}
	rows := regexp.MustCompile(`(?m)^\| [a-z-]+.* \| ([0-9.]+) \| RESP`).FindAllStringSubmatch(section(t, "Clients"), -1)
	if len(rows) < 5 {
		t.Errorf("only %d versions", len(rows))
	}
	for _, r := range rows {
		if !regexp.MustCompile(`[v=@" ]` + regexp.QuoteMeta(r[1]) + `[" \n]`).Match(pinned) {
			t.Errorf("version %s is not pinned in go.mod, requirements.txt or package.json: %s", r[1], r[0])
		}
	}
}

// COMMAND INFO tells clients the same about arity and keys of the verbs that both servers have: by that they find the keys in a
// command.
func TestCommandTablesAgree(t *testing.T) {
	p := pair{startRedis(t).dial(t), startNitro(t).dial(t)}
	known := knownVerbs(t, p)
	var commands []command
	for name := range known.nitro {
		if known.redis[name] {
			commands = append(commands, command{args: []string{"COMMAND", "INFO", name}})
		}
	}
	fromRedis, fromNitro, err := p.both(commands)
	if err != nil {
		t.Fatal(err)
	}
	for i := range commands {
		redis, nitro := parse(fromRedis[i]).elems[0].elems, parse(fromNitro[i]).elems[0].elems
		if len(redis[9].elems) > 0 {
			continue // it has subcommands, and only these have keys there
		}
		for at, what := range map[int]string{1: "arity", 3: "first key", 4: "last key", 5: "key step"} {
			if redis[at].text != nitro[at].text {
				t.Errorf("%s of %s: %s for redis-server, %s for nitrokv", what, commands[i].args[2], redis[at].text, nitro[at].text)
			}
		}
		for _, flag := range []string{"write", "readonly", "denyoom", "fast"} {
			has := func(flags reply) bool {
				return slices.ContainsFunc(flags.elems, func(f reply) bool { return f.text == flag })
			}
			if has(redis[2]) != has(nitro[2]) {
				t.Errorf("only one server says that %s is %s", commands[i].args[2], flag)
			}
		}
	}
}
