package engine

/*
#include "nitro.h"
*/
import "C"

import "unsafe"

// CommandFlags say what kind of command it is.
type CommandFlags uint32

// The flags.
const (
	CommandWrite    CommandFlags = C.NITRO_CMD_WRITE
	CommandReadOnly CommandFlags = C.NITRO_CMD_READONLY
	CommandFast     CommandFlags = C.NITRO_CMD_FAST
	CommandAdmin    CommandFlags = C.NITRO_CMD_ADMIN
	CommandDenyOOM  CommandFlags = C.NITRO_CMD_DENYOOM
)

// Command describes a RESP verb.
type Command struct {
	Name                       string // lower case
	Arity                      int    // the verb included; negative: at least
	Flags                      CommandFlags
	FirstKey, LastKey, KeyStep int
	Group, Summary             string
	Args                       string // as shown in help: "key value [NX|XX] [EX seconds]"
}

// Commands lists every RESP verb, the host's included, sorted by name.
func Commands() []Command {
	var n C.size_t
	table := C.nitro_commands(&n)
	out := make([]Command, 0, int(n))
	for _, c := range unsafe.Slice(table, int(n)) {
		out = append(out, Command{
			Name: C.GoString(c.name), Arity: int(c.arity), Flags: CommandFlags(c.flags),
			FirstKey: int(c.first_key), LastKey: int(c.last_key), KeyStep: int(c.key_step),
			Group: C.GoString(c.group), Summary: C.GoString(c.summary), Args: C.GoString(c.args),
		})
	}
	return out
}
