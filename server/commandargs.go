package server

import "strings"

// argument is a node of a command's argument tree as COMMAND DOCS shows it. The engine's table writes the tree
// as one line, as people read it: "key value [NX|XX] [EX seconds|PX milliseconds] [key ...]".
//
//	words in lower case  an argument of that name
//	words in upper case  a token; before a name in lower case it introduces that argument
//	[a b]                optional
//	a|b                  one of them
//	[name ...]           after the same name: that may be repeated; else optional and repeated
type argument struct {
	name, kind, token  string
	optional, multiple bool
	parts              []argument // of a block or a choice
}

// parseArgs turns the line into the tree.
func parseArgs(line string) []argument {
	for _, c := range []string{"[", "]", "|"} {
		line = strings.ReplaceAll(line, c, " "+c+" ")
	}
	p := argParser{words: strings.Fields(line)}
	return p.sequence()
}

type argParser struct{ words []string }

func (p *argParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *argParser) next() string {
	w := p.peek()
	if w != "" {
		p.words = p.words[1:]
	}
	return w
}

// sequence reads items up to the end or a "]"; items joined by "|" become one choice.
func (p *argParser) sequence() []argument {
	var list []argument
	for {
		switch w := p.peek(); w {
		case "", "]":
			return list
		case "|":
			p.next()
			if len(list) == 0 {
				continue
			}
			last := &list[len(list)-1]
			alternative := p.item()
			if last.kind != "oneof" || last.optional {
				*last = argument{kind: "oneof", parts: []argument{*last}}
			}
			last.parts = append(last.parts, alternative)
			last.name = joinNames(last.parts)
		case "...":
			p.next()
			if len(list) > 0 {
				list[len(list)-1].multiple = true
			}
		default:
			list = merge(list, p.item())
		}
	}
}

// merge appends an item; "name [name ...]" becomes one repeated argument.
func merge(list []argument, a argument) []argument {
	if n := len(list); n > 0 && a.optional && a.multiple && list[n-1].name == a.name {
		list[n-1].multiple = true
		return list
	}
	return append(list, a)
}

// item reads a word, a token with its argument, or an optional group.
func (p *argParser) item() argument {
	w := p.next()
	if w == "[" {
		return p.group()
	}
	if w != strings.ToUpper(w) {
		return argument{name: w, kind: kindOf(w)}
	}
	if n := p.peek(); n != "" && n != strings.ToUpper(n) {
		a := p.item()
		a.token = w
		return a
	}
	return argument{name: strings.ToLower(w), kind: "pure-token", token: w}
}

// group reads what stands between brackets: one item as itself, several as a block.
func (p *argParser) group() argument {
	parts := p.sequence()
	p.next() // the bracket
	a := argument{kind: "block", parts: parts}
	if len(parts) == 1 {
		a = parts[0]
	}
	if n := len(parts); n > 1 && parts[n-1].multiple {
		// [a b ...] repeats as a whole
		a.parts[n-1].multiple = false
		a.multiple = true
	}
	if a.name == "" {
		a.name = joinNames(a.parts)
	}
	a.optional = true
	return a
}

func joinNames(parts []argument) string {
	var names []string
	for _, a := range parts {
		names = append(names, a.name)
	}
	return strings.Join(names, "-")
}

// kindOf guesses an argument's type from its name.
func kindOf(name string) string {
	switch name {
	case "key", "newkey", "source", "destination":
		return "key"
	case "pattern":
		return "pattern"
	case "seconds", "milliseconds", "ms", "count", "cursor", "increment", "decrement", "index", "version", "protover", "client-id",
		"start", "end", "offset", "numlocal", "numreplicas", "timeout":
		return "integer"
	case "time", "ms-time", "unix-time-seconds", "unix-time-ms":
		return "unix-time"
	}
	return "string"
}

func (r *request) docsArgs(args []argument) {
	r.array(len(args))
	for i := range args {
		r.docsArg(&args[i])
	}
}

func (r *request) docsArg(a *argument) {
	var flags []string
	if a.optional {
		flags = append(flags, "optional")
	}
	if a.multiple {
		flags = append(flags, "multiple")
	}
	pairs := 2
	for _, present := range []bool{a.token != "", len(flags) > 0, len(a.parts) > 0} {
		if present {
			pairs++
		}
	}
	r.dict(pairs)
	r.bulk("name")
	r.bulk(a.name)
	r.bulk("type")
	r.bulk(a.kind)
	if a.token != "" {
		r.bulk("token")
		r.bulk(a.token)
	}
	if len(flags) > 0 {
		r.bulk("flags")
		r.statusSet(flags)
	}
	if len(a.parts) > 0 {
		r.bulk("arguments")
		r.docsArgs(a.parts)
	}
}
