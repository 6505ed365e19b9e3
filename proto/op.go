package proto

import "fmt"

// Op is an opcode: what a request asks for.
// CHECKLIST for a new one: the constant, the table ops, an Append function (encode.go), ParseRequest
// (request.go), PROTOCOL.md, a vector in testdata/vectors.json, engine/wire_nbp.c.
type Op uint8

// The opcodes. Those from 0x10 to 0x1F have a body that starts with one key.
const (
	OpNoop    Op = 0x00
	OpHello   Op = 0x01
	OpEcho    Op = 0x02
	OpStats   Op = 0x03
	OpGet     Op = 0x10
	OpSet     Op = 0x11
	OpDelete  Op = 0x12
	OpExists  Op = 0x13
	OpIncr    Op = 0x14
	OpExpire  Op = 0x15
	OpTTL     Op = 0x16
	OpPersist Op = 0x17
	OpMemory  Op = 0x18
	OpGetX    Op = 0x19
	OpSetX    Op = 0x1A
	OpMGet    Op = 0x20
	OpMSet    Op = 0x21
	OpMDelete Op = 0x22
	OpMExists Op = 0x23
	OpScan    Op = 0x28
	OpCount   Op = 0x29
	OpFlush   Op = 0x2A
	OpSync    Op = 0x2B
)

// blockFlags are the flags whose blocks only some opcodes accept.
const blockFlags = FlagVersion | FlagExpiry

type opInfo struct {
	name   string
	blocks Flags // VERSION and EXPIRY where they make sense
	write  bool
}

var ops = map[Op]opInfo{
	OpNoop:    {name: "NOOP"},
	OpHello:   {name: "HELLO"},
	OpEcho:    {name: "ECHO"},
	OpStats:   {name: "STATS"},
	OpGet:     {name: "GET"},
	OpSet:     {name: "SET", blocks: FlagVersion | FlagExpiry, write: true},
	OpDelete:  {name: "DELETE", blocks: FlagVersion, write: true},
	OpExists:  {name: "EXISTS"},
	OpIncr:    {name: "INCR", write: true},
	OpExpire:  {name: "EXPIRE", blocks: FlagExpiry, write: true},
	OpTTL:     {name: "TTL"},
	OpPersist: {name: "PERSIST", write: true},
	OpMemory:  {name: "MEMORY"},
	OpGetX:    {name: "GETX"},
	OpSetX:    {name: "SETX", blocks: FlagVersion | FlagExpiry, write: true},
	OpMGet:    {name: "MGET"},
	OpMSet:    {name: "MSET", blocks: FlagExpiry, write: true},
	OpMDelete: {name: "MDELETE", write: true},
	OpMExists: {name: "MEXISTS"},
	OpScan:    {name: "SCAN"},
	OpCount:   {name: "COUNT"},
	OpFlush:   {name: "FLUSH", write: true},
	OpSync:    {name: "SYNC"},
}

// String returns the opcode's name in PROTOCOL.md.
func (o Op) String() string {
	if info, ok := ops[o]; ok {
		return info.name
	}
	return fmt.Sprintf("opcode %#02x", uint8(o))
}

// Known reports whether version 1 of the protocol defines the opcode.
func (o Op) Known() bool {
	_, ok := ops[o]
	return ok
}

// Writes reports whether the opcode can change the store, so that losing its reply leaves the outcome
// unknown. It is false for opcodes that are not Known.
func (o Op) Writes() bool { return ops[o].write }

// Option bits of the GETX body.
const (
	GetXVersion uint8 = 0x01 // reply with a VERSION block
	GetXExpiry  uint8 = 0x02 // reply with an EXPIRY block if the key expires
	GetXLength  uint8 = 0x04 // reply with the value's length (u32) instead of the value
	getXAll           = GetXVersion | GetXExpiry | GetXLength
)

// Option bits of the SETX body.
const (
	SetXIfAbsent  uint8 = 0x01 // NX: only if the key does not exist
	SetXIfPresent uint8 = 0x02 // XX: only if the key exists
	SetXKeepTTL   uint8 = 0x04 // keep the expiry of the value that is replaced
	SetXOldValue  uint8 = 0x08 // reply with the old value
	SetXVersion   uint8 = 0x10 // reply with the new version in a VERSION block
	setXAll             = SetXIfAbsent | SetXIfPresent | SetXKeepTTL | SetXOldValue | SetXVersion
)

// Option bits of the SCAN body.
const (
	ScanMetadata uint8 = 0x01 // reply with version, expiry and size of every key
	scanAll            = ScanMetadata
)
