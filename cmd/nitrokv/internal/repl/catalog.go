package repl

import (
	"slices"
	"strings"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// A Command is what help, hints and completion know of a verb or a subcommand.
type Command struct {
	Name    string // in lower case, a subcommand without its verb
	Args    string // "key value [NX|XX] [EX seconds]"; see syntax.go
	Summary string
	Group   string
	Subs    []Command // sorted by name
}

// A catalog is a list of commands, sorted by name.
type catalog []Command

func newCatalog(commands []Command) catalog {
	c := slices.Clone(commands)
	slices.SortFunc(c, func(a, b Command) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// find returns the command that words begin with, the subcommand if the second word is one, and how many words that were.
func (c catalog) find(words []string) (found *Command, used int) {
	for used < len(words) && used < 2 {
		i := slices.IndexFunc(c, func(e Command) bool { return strings.EqualFold(e.Name, words[used]) })
		if i < 0 {
			break
		}
		found, c = &c[i], c[i].Subs
		used++
	}
	return found, used
}

// catalogOf reads the reply to COMMAND DOCS: names and descriptions in turns, which RESP3 writes as a map.
func catalogOf(docs resp.Value) catalog {
	var commands []Command
	for i := 0; i+1 < len(docs.Elems); i += 2 {
		name, about := docs.Elems[i].Text, docs.Elems[i+1]
		if _, sub, isSub := strings.Cut(name, "|"); isSub {
			name = sub
		}
		if name == "" {
			continue
		}
		commands = append(commands, Command{
			Name: strings.ToLower(name), Args: joinArgs(member(about, "arguments"), " "), Summary: member(about, "summary").Text,
			Group: member(about, "group").Text, Subs: catalogOf(member(about, "subcommands")),
		})
	}
	return newCatalog(commands)
}

// member is the value of a key in names and values that come in turns.
func member(v resp.Value, key string) resp.Value {
	for i := 0; i+1 < len(v.Elems); i += 2 {
		if v.Elems[i].Text == key {
			return v.Elems[i+1]
		}
	}
	return resp.Value{}
}

// joinArgs writes a list of arguments, which COMMAND DOCS describes as a tree, as one line.
func joinArgs(list resp.Value, between string) string {
	args := make([]string, len(list.Elems))
	for i, e := range list.Elems {
		args[i] = docsArg(e)
	}
	return strings.Join(args, between)
}

// docsArg writes one argument: a token, a name, a choice or a block; again with dots if it may be repeated, in brackets if
// it may be left out.
func docsArg(arg resp.Value) string {
	has := func(flag string) bool {
		return slices.ContainsFunc(member(arg, "flags").Elems, func(f resp.Value) bool { return f.Text == flag })
	}
	text, token := docsText(arg), ""
	if t := member(arg, "token").Text; t != "" && text != t {
		token = t + " "
	}
	switch {
	case has("multiple_token"):
		text = token + text + " [" + token + text + " ...]"
	case has("multiple"):
		text = token + text + " [" + text + " ...]"
	default:
		text = token + text
	}
	if has("optional") {
		text = "[" + text + "]"
	}
	return text
}

// docsText is an argument without its token. A choice that must be made is put in <…> if it would fall apart else.
func docsText(arg resp.Value) string {
	parts := member(arg, "arguments")
	switch member(arg, "type").Text {
	case "pure-token":
		return member(arg, "token").Text
	case "block":
		return joinArgs(parts, " ")
	case "oneof":
		text := joinArgs(parts, "|")
		optional := slices.ContainsFunc(member(arg, "flags").Elems, func(f resp.Value) bool { return f.Text == "optional" })
		if !optional && strings.Contains(text, " ") {
			text = "<" + text + ">"
		}
		return text
	}
	if text := member(arg, "display_text").Text; text != "" {
		return text
	}
	return member(arg, "name").Text
}
