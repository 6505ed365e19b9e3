package repl

import (
	"slices"
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// some is a catalog with every form of arguments.
func some() catalog {
	return newCatalog([]Command{
		{Name: "set", Args: "key value [NX|XX|IFVER version] [GET] [EX seconds|PX ms|KEEPTTL]", Summary: "Sets.", Group: "string"},
		{Name: "get", Args: "key", Summary: "Gets.", Group: "string"},
		{Name: "mset", Args: "key value [key value ...]", Group: "string"},
		{Name: "del", Args: "key [key ...]", Group: "generic"},
		{Name: "ping", Args: "[message]", Group: "connection"},
		{Name: "auth", Args: "[username] password", Group: "connection"},
		{Name: "scan", Args: "cursor [MATCH pattern] [COUNT count]", Group: "generic"},
		{Name: "kill", Args: "<a b|c> key", Group: "generic"},
		{Name: "memory", Args: "USAGE key [SAMPLES count]", Group: "server"},
		{Name: "client", Group: "connection", Summary: "Of clients.", Subs: []Command{
			{Name: "id", Summary: "The id."}, {Name: "list", Args: "[TYPE NORMAL|MASTER] [ID client-id ...]", Summary: "All."},
		}},
	})
}

func TestHint(t *testing.T) {
	for line, want := range map[string]string{
		"":                        "",
		"s":                       "",
		"get":                     " key",
		"GET ":                    "key",
		"get k":                   "",
		"get k x":                 "",
		"set k":                   " value [NX|XX|IFVER version] [GET] [EX seconds|PX ms|KEEPTTL]",
		"set k ":                  "value [NX|XX|IFVER version] [GET] [EX seconds|PX ms|KEEPTTL]",
		`set "a b" `:              "value [NX|XX|IFVER version] [GET] [EX seconds|PX ms|KEEPTTL]",
		`set k "a `:               " [NX|XX|IFVER version] [GET] [EX seconds|PX ms|KEEPTTL]",
		"set k v nx ":             "[GET] [EX seconds|PX ms|KEEPTTL]",
		"set k v ifver ":          "version [GET] [EX seconds|PX ms|KEEPTTL]",
		"set k v ifver 7 ":        "[GET] [EX seconds|PX ms|KEEPTTL]",
		"set k v EX ":             "seconds [NX|XX|IFVER version] [GET]",
		"set k v EX 5 ":           "[NX|XX|IFVER version] [GET]",
		"set k v keepttl get nx ": "",
		"set k v what ":           "[NX|XX|IFVER version] [GET] [EX seconds|PX ms|KEEPTTL]",
		"mset a 1 ":               "[key value ...]",
		"mset a 1 b 2 ":           "[key value ...]",
		"del a b ":                "[key ...]",
		"ping ":                   "[message]",
		"ping x ":                 "",
		"auth ":                   "[username] password",
		"auth u ":                 "password",
		"kill ":                   "<a b|c> key",
		"memory ":                 "USAGE key [SAMPLES count]",
		"memory usage ":           "key [SAMPLES count]",
		"client ":                 "",
		"client list ":            "[TYPE NORMAL|MASTER] [ID client-id ...]",
		"Client List type ":       "NORMAL|MASTER [ID client-id ...]",
		"nothing ":                "",
	} {
		if got := some().hint(line); got != want {
			t.Errorf("%q: hint %q, want %q", line, got, want)
		}
	}
}

func TestComplete(t *testing.T) {
	for front, want := range map[string]string{
		"g":                 "et ",
		"GE":                "T ",
		"Ge":                "t ",
		"m":                 "emory |set ",
		"h":                 "elp ",
		"EX":                "it ",
		"":                  "AUTH |CLIENT |DEL |GET |KILL |MEMORY |MSET |PING |SCAN |SET |clear |exit |help |quit ",
		"client ":           "id |list ",
		"CLIENT ":           "ID |LIST ",
		"client l":          "ist ",
		"client list ":      "type |id ",
		"client no ":        "",
		"help cl":           "ient ",
		"help client l":     "ist ",
		"set k ":            "",
		"set k v ":          "nx |xx |ifver |get |ex |px |keepttl ",
		"SET k v I":         "FVER ",
		"SET k v IFVER ":    "",
		"SET k v EX 5 ":     "NX |XX |IFVER |GET ",
		"client list type ": "normal |master ",
		"scan 0 ma":         "tch ",
		"memory ":           "usage ",
		"get ":              "",
		"kill ":             "",
		`set k "v `:         "",
		"nothing ":          "",
	} {
		if rests, _ := some().complete(front); strings.Join(rests, "|") != want {
			t.Errorf("%q: %q, want %q", front, strings.Join(rests, "|"), want)
		}
	}
}

func TestHelp(t *testing.T) {
	for words, want := range map[string][]string{
		"":            {"SET key <<END", "string", "GET MSET SET", "connection", "AUTH CLIENT PING"},
		"set":         {"SET key value [NX|XX|IFVER version]", "Sets.", "group: string"},
		"Client":      {"CLIENT\n", "Of clients.", "CLIENT LIST [TYPE", "The id."},
		"client list": {"CLIENT LIST [TYPE", "All."},
	} {
		text, err := some().help(strings.Fields(words))
		for _, part := range want {
			if err != nil || !strings.Contains(text, part) {
				t.Errorf("help %s: %v, no %q in\n%s", words, err, part, text)
			}
		}
	}
	for _, words := range []string{"sett", "client what", "get k"} {
		if text, err := some().help(strings.Fields(words)); err == nil {
			t.Errorf("help %s: %s", words, text)
		}
	}
}

func TestUsageOf(t *testing.T) {
	for words, want := range map[string]string{"get a b": "GET key", "client list x": "CLIENT LIST [TYPE NORMAL|MASTER] [ID client-id ...]", "nothing": "", "": ""} {
		if got := some().usageOf(strings.Fields(words)); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

// arg is a node of COMMAND DOCS.
func arg(kind, name string, rest ...resp.Value) resp.Value {
	return dict(append([]resp.Value{text("name"), text(name), text("type"), text(kind)}, rest...)...)
}

func flags(names ...string) resp.Value {
	v := resp.Value{Kind: resp.Set}
	for _, n := range names {
		v.Elems = append(v.Elems, resp.Value{Kind: resp.Status, Text: n})
	}
	return v
}

// COMMAND DOCS describes arguments as a tree; both forms in which servers send it give the same lines.
func TestCatalogOf(t *testing.T) {
	parts := func(of ...resp.Value) resp.Value { return list(of...) }
	args := parts(
		arg("key", "key"),
		arg("key", "key", text("display_text"), text("other"), text("flags"), flags("multiple")),
		arg("oneof", "condition", text("flags"), flags("optional"), text("arguments"), parts(
			arg("pure-token", "nx", text("token"), text("NX")),
			arg("integer", "version", text("token"), text("IFVER")),
		)),
		arg("oneof", "unit", text("arguments"), parts(arg("integer", "ms"), arg("integer", "s"))),
		arg("oneof", "place", text("arguments"), parts(arg("integer", "x", text("token"), text("AT")), arg("integer", "s"))),
		arg("string", "pattern", text("token"), text("GET"), text("flags"), flags("optional", "multiple", "multiple_token")),
		arg("block", "data", text("flags"), flags("multiple"), text("arguments"), parts(arg("key", "k"), arg("string", "v"))),
	)
	docs := dict(
		text("zeta"), dict(text("summary"), text("Last.")),
		text("alpha"), dict(text("group"), text("string"), text("arguments"), args),
		text("box"), dict(text("subcommands"), dict(text("box|open"), dict(text("summary"), text("Opens.")))),
	)
	want := "key other [other ...] [NX|IFVER version] ms|s <AT x|s> [GET pattern [GET pattern ...]] k v [k v ...]"
	for _, kind := range []byte{resp.Map, resp.Array} {
		docs.Kind = kind
		c := catalogOf(docs)
		var names []string
		for _, e := range c {
			names = append(names, e.Name)
		}
		if !slices.Equal(names, []string{"alpha", "box", "zeta"}) || c[0].Args != want || c[0].Group != "string" || c[2].Summary != "Last." {
			t.Errorf("%+v", c)
		}
		if subs := c[1].Subs; len(subs) != 1 || subs[0].Name != "open" || subs[0].Summary != "Opens." {
			t.Errorf("subcommands %+v", subs)
		}
	}
	for _, strange := range []resp.Value{{Kind: resp.Error, Text: "ERR"}, {Kind: resp.Null}, list(text("odd")), list(number(1), number(2)), list(text("a"), list(text("arguments"), number(1)))} {
		for _, c := range catalogOf(strange) {
			if c.Args != "" {
				t.Errorf("%+v: %+v", strange, c)
			}
		}
	}
}
