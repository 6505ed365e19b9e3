package proto

import "fmt"

// Op is an opcode: what a request asks for.
// CHECKLIST for a new one: the constant, the table ops, an Append function (encode.go), ParseRequest
// (request.go), PROTOCOL.md, vectors in testdata/vectors.json, engine/wire_nbp_body.c, tests/codec.
type Op uint8

// The opcodes. Those from 0x10 to 0x1F and 0x30 to 0x32 name one key.
const (
	OpNoop       Op = 0x00
	OpHello      Op = 0x01
	OpEcho       Op = 0x02
	OpStats      Op = 0x03
	OpAuth       Op = 0x04
	OpGet        Op = 0x10
	OpSet        Op = 0x11
	OpDelete     Op = 0x12
	OpExists     Op = 0x13
	OpIncr       Op = 0x14
	OpExpire     Op = 0x15
	OpTTL        Op = 0x16
	OpPersist    Op = 0x17
	OpMemory     Op = 0x18
	OpGetX       Op = 0x19
	OpSetX       Op = 0x1A
	OpGetDel     Op = 0x1B
	OpGetEx      Op = 0x1C
	OpAppend     Op = 0x1D
	OpGetRange   Op = 0x1E
	OpSetRange   Op = 0x1F
	OpMGet       Op = 0x20
	OpMSet       Op = 0x21
	OpMDelete    Op = 0x22
	OpMExists    Op = 0x23
	OpMSetX      Op = 0x24
	OpScan       Op = 0x28
	OpCount      Op = 0x29
	OpFlush      Op = 0x2A
	OpSync       Op = 0x2B
	OpRandomKey  Op = 0x2C
	OpIncrFloat  Op = 0x30
	OpExpireX    Op = 0x31
	OpExpireTime Op = 0x32
	OpRename     Op = 0x33
	OpCopy       Op = 0x34
)

// blockFlags are the flags whose blocks only some opcodes accept.
const blockFlags = FlagVersion | FlagExpiry

type opInfo struct {
	name    string
	blocks  Flags // VERSION and EXPIRY where they make sense
	needs   Flags // those of them that it can't do without
	options uint8 // the option bits that its body may have
	write   bool
}

var ops = map[Op]opInfo{
	OpNoop:       {name: "NOOP"},
	OpHello:      {name: "HELLO"},
	OpEcho:       {name: "ECHO"},
	OpStats:      {name: "STATS"},
	OpAuth:       {name: "AUTH"},
	OpGet:        {name: "GET"},
	OpSet:        {name: "SET", blocks: FlagVersion | FlagExpiry, write: true},
	OpDelete:     {name: "DELETE", blocks: FlagVersion, write: true},
	OpExists:     {name: "EXISTS"},
	OpIncr:       {name: "INCR", write: true},
	OpExpire:     {name: "EXPIRE", blocks: FlagExpiry, needs: FlagExpiry, write: true},
	OpTTL:        {name: "TTL"},
	OpPersist:    {name: "PERSIST", write: true},
	OpMemory:     {name: "MEMORY"},
	OpGetX:       {name: "GETX", options: getXAll},
	OpSetX:       {name: "SETX", blocks: FlagVersion | FlagExpiry, options: setXAll, write: true},
	OpGetDel:     {name: "GETDEL", write: true},
	OpGetEx:      {name: "GETEX", blocks: FlagExpiry, options: getExAll, write: true},
	OpAppend:     {name: "APPEND", write: true},
	OpGetRange:   {name: "GETRANGE"},
	OpSetRange:   {name: "SETRANGE", write: true},
	OpMGet:       {name: "MGET"},
	OpMSet:       {name: "MSET", blocks: FlagExpiry, write: true},
	OpMDelete:    {name: "MDELETE", write: true},
	OpMExists:    {name: "MEXISTS"},
	OpMSetX:      {name: "MSETX", blocks: FlagExpiry, options: mSetXAll, write: true},
	OpScan:       {name: "SCAN", options: scanAll},
	OpCount:      {name: "COUNT"},
	OpFlush:      {name: "FLUSH", write: true},
	OpSync:       {name: "SYNC"},
	OpRandomKey:  {name: "RANDOMKEY"},
	OpIncrFloat:  {name: "INCRFLOAT", write: true},
	OpExpireX:    {name: "EXPIREX", blocks: FlagExpiry, needs: FlagExpiry, options: expireXAll, write: true},
	OpExpireTime: {name: "EXPIRETIME"},
	OpRename:     {name: "RENAME", options: renameAll, write: true},
	OpCopy:       {name: "COPY", options: copyAll, write: true},
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

// Option bits of the GETEX body.
const (
	GetExPersist uint8 = 0x01 // remove the expiry; excludes an EXPIRY block
	getExAll           = GetExPersist
)

// Option bits of the MSETX body.
const (
	MSetXIfAbsent uint8 = 0x01 // NX: only if none of the keys exists
	mSetXAll            = MSetXIfAbsent
)

// Option bits of the EXPIREX body: conditions on the expiry that the key has. One that has none is taken for
// one that expires at the end of time.
const (
	ExpireXIfNone   uint8 = 0x01 // NX: only if the key does not expire
	ExpireXIfSet    uint8 = 0x02 // XX: only if the key expires
	ExpireXIfLater  uint8 = 0x04 // GT: only if the new expiry is later
	ExpireXIfSooner uint8 = 0x08 // LT: only if the new expiry is sooner
	expireXAll            = ExpireXIfNone | ExpireXIfSet | ExpireXIfLater | ExpireXIfSooner
)

// Option bits of the RENAME body.
const (
	RenameIfAbsent uint8 = 0x01 // NX: only if no key has the new name
	renameAll            = RenameIfAbsent
)

// Option bits of the COPY body.
const (
	CopyReplace uint8 = 0x01 // replace a key that has the name of the copy
	copyAll           = CopyReplace
)

// Option bits of the SCAN body.
const (
	ScanMetadata uint8 = 0x01 // reply with version, expiry and size of every key
	scanAll            = ScanMetadata
)
