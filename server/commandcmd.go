package server

import (
	"path"
	"slices"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
)

// commandCommands is COMMAND; without a subcommand it answers all entries.
var commandCommands = &container{name: "command", subs: []subcommand{
	{"count", 2, "", "Returns the number of commands.", (*request).commandCount},
	{"docs", -2, "[command-name [command-name ...]]", "Describes commands for people.", (*request).commandDocs},
	{"info", -2, "[command-name [command-name ...]]", "Describes commands for programs.", (*request).commandInfo},
	{"list", -2, "[FILTERBY MODULE module-name|ACLCAT category|PATTERN pattern]", "Returns the commands' names.",
		(*request).commandList},
}}

// command is an entry of COMMAND: the engine's row, with the subcommands that this package runs.
type command struct {
	engine.Command
	subs []command
}

// newCommandTable joins the engine's table with the subcommands.
func newCommandTable() []command {
	containers := map[string]*container{"client": clientCommands, "config": configCommands, "command": commandCommands,
		"snapshot": snapshotCommands}
	var table []command
	for _, e := range engine.Commands() {
		c := command{Command: e}
		if of := containers[e.Name]; of != nil {
			c.subs = subEntries(&e, of)
		}
		table = append(table, c)
	}
	return table
}

func subEntries(parent *engine.Command, of *container) []command {
	help := subcommand{name: "help", arity: 2, summary: "Prints a help text."}
	var subs []command
	for _, s := range append(slices.Clone(of.subs), help) {
		e := *parent
		e.Name, e.Arity, e.Args, e.Summary = of.name+"|"+s.name, s.arity, s.args, s.summary
		subs = append(subs, command{Command: e})
	}
	return subs
}

// findCommand finds an entry by its name, a subcommand by "verb|subcommand".
func (s *Server) findCommand(name string) *command {
	table := s.commands
	verb, sub, isSub := strings.Cut(strings.ToLower(name), "|")
	for i := range table {
		if table[i].Name != verb {
			continue
		}
		if !isSub {
			return &table[i]
		}
		for j := range table[i].subs {
			if table[i].subs[j].Name == verb+"|"+sub {
				return &table[i].subs[j]
			}
		}
	}
	return nil
}

func (r *request) command() {
	if len(r.args) > 1 {
		r.sub(commandCommands)
		return
	}
	r.commandEntries()
}

func (r *request) commandEntries() {
	table := r.c.srv.commands
	r.array(len(table))
	for i := range table {
		r.commandEntry(&table[i])
	}
}

func (r *request) commandCount() { r.int(int64(len(r.c.srv.commands))) }

func (r *request) commandInfo() {
	if len(r.args) == 2 {
		r.commandEntries()
		return
	}
	r.array(len(r.args) - 2)
	for _, name := range r.args[2:] {
		if c := r.c.srv.findCommand(name); c != nil {
			r.commandEntry(c)
		} else {
			r.null()
		}
	}
}

// commandList is COMMAND LIST [FILTERBY …]. There are no modules, so none of the names is a module's.
func (r *request) commandList() {
	keep := func(*command) bool { return true }
	if len(r.args) > 2 {
		if len(r.args) != 5 || !isWord(r.args[2], "FILTERBY") {
			r.syntaxError()
			return
		}
		value := strings.ToLower(r.args[4])
		switch {
		case isWord(r.args[3], "MODULE"):
			keep = func(*command) bool { return false }
		case isWord(r.args[3], "ACLCAT"):
			keep = func(c *command) bool { return isWord("@"+value, c.categories()...) }
		case isWord(r.args[3], "PATTERN"):
			keep = func(c *command) bool { ok, err := path.Match(value, c.Name); return ok && err == nil }
		default:
			r.syntaxError()
			return
		}
	}
	var names []string
	for _, c := range r.c.srv.commands {
		if keep(&c) {
			names = append(names, c.Name)
		}
	}
	r.array(len(names))
	for _, n := range names {
		r.bulk(n)
	}
}

// commandEntry is the ten-part description of Redis 7.
func (r *request) commandEntry(c *command) {
	r.array(10)
	r.bulk(c.Name)
	r.int(int64(c.Arity))
	r.statusSet(c.flagNames())
	r.int(int64(c.FirstKey))
	r.int(int64(c.LastKey))
	r.int(int64(c.KeyStep))
	r.statusSet(c.categories())
	r.array(0) // tips
	r.keySpecs(c)
	r.array(len(c.subs))
	for i := range c.subs {
		r.commandEntry(&c.subs[i])
	}
}

func (r *request) statusSet(words []string) {
	r.set(len(words))
	for _, w := range words {
		r.status(w)
	}
}

func (c *command) flagNames() []string {
	var names []string
	for _, f := range []struct {
		bit  engine.CommandFlags
		name string
	}{
		{engine.CommandWrite, "write"}, {engine.CommandReadOnly, "readonly"}, {engine.CommandDenyOOM, "denyoom"},
		{engine.CommandAdmin, "admin"}, {engine.CommandFast, "fast"},
	} {
		if c.Flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// categories are the ACL categories that Redis would count the command to.
func (c *command) categories() []string {
	var names []string
	add := func(ok bool, name string) {
		if ok {
			names = append(names, name)
		}
	}
	add(c.Group == "generic", "@keyspace")
	add(c.Flags&engine.CommandReadOnly != 0, "@read")
	add(c.Flags&engine.CommandWrite != 0, "@write")
	add(c.Group == "string", "@string")
	add(c.Flags&engine.CommandAdmin != 0, "@admin")
	add(c.Flags&engine.CommandAdmin != 0, "@dangerous")
	add(c.Group == "connection", "@connection")
	add(c.Flags&engine.CommandFast != 0, "@fast")
	add(c.Flags&engine.CommandFast == 0, "@slow")
	return names
}

// keySpecs says where the keys stand: from FirstKey to LastKey (negative: from the end), every KeyStep arguments.
func (r *request) keySpecs(c *command) {
	if c.FirstKey == 0 {
		r.array(0)
		return
	}
	r.array(1)
	r.dict(3)
	r.bulk("flags")
	if c.Flags&engine.CommandWrite != 0 {
		r.statusSet([]string{"RW"})
	} else {
		r.statusSet([]string{"RO"})
	}
	r.bulk("begin_search")
	r.dict(2)
	r.bulk("type")
	r.bulk("index")
	r.bulk("spec")
	r.dict(1)
	r.bulk("index")
	r.int(int64(c.FirstKey))
	r.bulk("find_keys")
	r.dict(2)
	r.bulk("type")
	r.bulk("range")
	r.bulk("spec")
	r.dict(3)
	r.bulk("lastkey")
	last := c.LastKey
	if last > 0 {
		last -= c.FirstKey // relative to the first
	}
	r.int(int64(last))
	r.bulk("keystep")
	r.int(int64(c.KeyStep))
	r.bulk("limit")
	r.int(0)
}

// commandDocs is a map of names to descriptions; unknown names are left out.
func (r *request) commandDocs() {
	var found []*command
	if len(r.args) == 2 {
		table := r.c.srv.commands
		for i := range table {
			found = append(found, &table[i])
		}
	}
	for _, name := range r.args[2:] {
		if c := r.c.srv.findCommand(name); c != nil {
			found = append(found, c)
		}
	}
	r.docs(found)
}

func (r *request) docs(list []*command) {
	r.dict(len(list))
	for _, c := range list {
		var args []argument
		if len(c.subs) == 0 { // else they are the subcommands'
			args = parseArgs(c.Args)
		}
		r.bulk(c.Name)
		pairs := 2
		if len(args) > 0 {
			pairs++
		}
		if len(c.subs) > 0 {
			pairs++
		}
		r.dict(pairs)
		r.bulk("summary")
		r.bulk(c.Summary)
		r.bulk("group")
		r.bulk(c.Group)
		if len(args) > 0 {
			r.bulk("arguments")
			r.docsArgs(args)
		}
		if len(c.subs) > 0 {
			r.bulk("subcommands")
			var subs []*command
			for i := range c.subs {
				subs = append(subs, &c.subs[i])
			}
			r.docs(subs)
		}
	}
}
