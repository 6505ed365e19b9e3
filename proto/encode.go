package proto

import (
	"encoding/binary"
	"fmt"
)

// Bytes is what keys and values may be given as.
type Bytes interface{ ~string | ~[]byte }

// The Append functions encode one request each and return the extended slice. Keys longer than KeyMax
// can't be encoded: callers check with len before, for the length field has 16 bits; the functions cut
// nothing and panic instead, since a wrong key would be worse.

func appendKey[K Bytes](dst []byte, key K) []byte {
	if len(key) > KeyMax {
		panic("proto: a key is longer than KeyMax; check its length before encoding it")
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(key)))
	return append(dst, key...)
}

func appendKeyed[K Bytes](dst []byte, op Op, m *Meta, key K) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(op), m)
	return appendEnd(appendKey(dst, key), start, m)
}

func appendPlain[B Bytes](dst []byte, op Op, m *Meta, body B) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(op), m)
	return appendEnd(append(dst, body...), start, m)
}

// AppendNoop encodes NOOP, the fence.
func AppendNoop(dst []byte, m Meta) []byte { return appendPlain(dst, OpNoop, &m, "") }

// Hello is the body of a HELLO request.
type Hello struct {
	Min, Max uint8  // protocol versions that the client speaks
	Features uint32 // version 1 defines no feature: 0
	Name     string // the client's name, for the server's lists; shorter than 64 KiB
}

// AppendHello encodes HELLO.
func AppendHello(dst []byte, m Meta, h Hello) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpHello), &m)
	dst = append(dst, h.Min, h.Max)
	dst = binary.LittleEndian.AppendUint32(dst, h.Features)
	return appendEnd(appendKey(dst, h.Name), start, &m)
}

// AppendEcho encodes ECHO.
func AppendEcho[B Bytes](dst []byte, m Meta, body B) []byte {
	return appendPlain(dst, OpEcho, &m, body)
}

// AppendStats encodes STATS; an empty section asks for all.
func AppendStats(dst []byte, m Meta, section string) []byte {
	return appendPlain(dst, OpStats, &m, section)
}

// Auth is the body of an AUTH request. It prints without the password.
type Auth struct {
	User     string // empty is the user "default"
	Password string `json:"-"`
}

// Format implements fmt.Formatter, the same for all verbs: none may show the password.
func (a Auth) Format(s fmt.State, _ rune) {
	// What can't be written shows in the caller's own writes.
	_, _ = fmt.Fprintf(s, "{User:%q Password:***}", a.User)
}

// AppendAuth encodes AUTH. With what goes around it, it must fit into LockedMax bytes.
func AppendAuth(dst []byte, m Meta, a Auth) []byte {
	return appendTwo(dst, OpAuth, &m, a.User, a.Password)
}

// appendTwo encodes a body of two strings.
func appendTwo[A, B Bytes](dst []byte, op Op, m *Meta, first A, second B) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(op), m)
	return appendEnd(appendKey(appendKey(dst, first), second), start, m)
}

// AppendGet encodes GET.
func AppendGet[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpGet, &m, key)
}

// AppendSet encodes SET; blocks in m make it conditional or give it an expiry.
func AppendSet[K, V Bytes](dst []byte, m Meta, key K, value V) []byte {
	return appendValue(dst, OpSet, &m, key, value)
}

// AppendDelete encodes DELETE.
func AppendDelete[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpDelete, &m, key)
}

// AppendExists encodes EXISTS.
func AppendExists[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpExists, &m, key)
}

// AppendIncr encodes INCR.
func AppendIncr[K Bytes](dst []byte, m Meta, key K, delta int64) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpIncr), &m)
	dst = binary.LittleEndian.AppendUint64(appendKey(dst, key), uint64(delta))
	return appendEnd(dst, start, &m)
}

// AppendExpire encodes EXPIRE; expiry is as Meta.Expiry and must not be 0.
func AppendExpire[K Bytes](dst []byte, m Meta, key K, expiry int64) []byte {
	m.Flags |= FlagExpiry
	m.Expiry = expiry
	return appendKeyed(dst, OpExpire, &m, key)
}

// AppendTTL encodes TTL.
func AppendTTL[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpTTL, &m, key)
}

// AppendPersist encodes PERSIST.
func AppendPersist[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpPersist, &m, key)
}

// AppendMemory encodes MEMORY.
func AppendMemory[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpMemory, &m, key)
}

// AppendGetX encodes GETX with GetX… option bits.
func AppendGetX[K Bytes](dst []byte, m Meta, options uint8, key K) []byte {
	return appendOption(dst, OpGetX, &m, options, key)
}

// AppendSetX encodes SETX with SetX… option bits.
func AppendSetX[K, V Bytes](dst []byte, m Meta, options uint8, key K, value V) []byte {
	start := len(dst)
	dst = append(appendStart(dst, KindRequest, uint8(OpSetX), &m), options)
	return appendEnd(append(appendKey(dst, key), value...), start, &m)
}

// appendOption encodes a body of option bits and one key.
func appendOption[K Bytes](dst []byte, op Op, m *Meta, options uint8, key K) []byte {
	start := len(dst)
	dst = append(appendStart(dst, KindRequest, uint8(op), m), options)
	return appendEnd(appendKey(dst, key), start, m)
}

// AppendGetDel encodes GETDEL.
func AppendGetDel[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpGetDel, &m, key)
}

// AppendGetEx encodes GETEX with GetEx… option bits; a block in m gives the key an expiry.
func AppendGetEx[K Bytes](dst []byte, m Meta, options uint8, key K) []byte {
	return appendOption(dst, OpGetEx, &m, options, key)
}

// appendValue encodes a body of one key and the value behind it.
func appendValue[K, V Bytes](dst []byte, op Op, m *Meta, key K, value V) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(op), m)
	return appendEnd(append(appendKey(dst, key), value...), start, m)
}

// AppendAppend encodes APPEND.
func AppendAppend[K, V Bytes](dst []byte, m Meta, key K, value V) []byte {
	return appendValue(dst, OpAppend, &m, key, value)
}

// AppendGetRange encodes GETRANGE: the bytes from start to end, both included; negative positions count from
// the value's end.
func AppendGetRange[K Bytes](dst []byte, m Meta, key K, from, to int64) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpGetRange), &m)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(from))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(to))
	return appendEnd(appendKey(dst, key), start, &m)
}

// AppendSetRange encodes SETRANGE.
func AppendSetRange[K, V Bytes](dst []byte, m Meta, key K, offset uint32, value V) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpSetRange), &m)
	dst = appendKey(binary.LittleEndian.AppendUint32(dst, offset), key)
	return appendEnd(append(dst, value...), start, &m)
}

// AppendIncrFloat encodes INCRFLOAT; delta is a decimal number in text.
func AppendIncrFloat[K, D Bytes](dst []byte, m Meta, key K, delta D) []byte {
	return appendValue(dst, OpIncrFloat, &m, key, delta)
}

// AppendExpireX encodes EXPIREX with ExpireX… option bits; expiry is as Meta.Expiry and must not be 0.
func AppendExpireX[K Bytes](dst []byte, m Meta, options uint8, key K, expiry int64) []byte {
	m.Flags |= FlagExpiry
	m.Expiry = expiry
	return appendOption(dst, OpExpireX, &m, options, key)
}

// AppendExpireTime encodes EXPIRETIME.
func AppendExpireTime[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpExpireTime, &m, key)
}

// appendPair encodes a body of option bits and two keys.
func appendPair[K Bytes](dst []byte, op Op, m *Meta, options uint8, from, to K) []byte {
	start := len(dst)
	dst = append(appendStart(dst, KindRequest, uint8(op), m), options)
	return appendEnd(appendKey(appendKey(dst, from), to), start, m)
}

// AppendRename encodes RENAME with Rename… option bits.
func AppendRename[K Bytes](dst []byte, m Meta, options uint8, from, to K) []byte {
	return appendPair(dst, OpRename, &m, options, from, to)
}

// AppendCopy encodes COPY with Copy… option bits.
func AppendCopy[K Bytes](dst []byte, m Meta, options uint8, from, to K) []byte {
	return appendPair(dst, OpCopy, &m, options, from, to)
}

func appendKeys[K Bytes](dst []byte, op Op, m *Meta, keys []K) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(op), m)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(keys)))
	for _, k := range keys {
		dst = appendKey(dst, k)
	}
	return appendEnd(dst, start, m)
}

// AppendMGet encodes MGET.
func AppendMGet[K Bytes](dst []byte, m Meta, keys []K) []byte {
	return appendKeys(dst, OpMGet, &m, keys)
}

// AppendMDelete encodes MDELETE.
func AppendMDelete[K Bytes](dst []byte, m Meta, keys []K) []byte {
	return appendKeys(dst, OpMDelete, &m, keys)
}

// AppendMExists encodes MEXISTS.
func AppendMExists[K Bytes](dst []byte, m Meta, keys []K) []byte {
	return appendKeys(dst, OpMExists, &m, keys)
}

// KV is one pair of MSET or MSETX.
type KV struct {
	Key   string
	Value []byte
}

// AppendMSet encodes MSET. Values must be shorter than 4 GiB.
func AppendMSet(dst []byte, m Meta, pairs []KV) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpMSet), &m)
	return appendEnd(appendPairs(dst, pairs), start, &m)
}

// AppendMSetX encodes MSETX with MSetX… option bits. Values must be shorter than 4 GiB.
func AppendMSetX(dst []byte, m Meta, options uint8, pairs []KV) []byte {
	start := len(dst)
	dst = append(appendStart(dst, KindRequest, uint8(OpMSetX), &m), options)
	return appendEnd(appendPairs(dst, pairs), start, &m)
}

func appendPairs(dst []byte, pairs []KV) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(pairs)))
	for i := range pairs {
		dst = appendLong(appendKey(dst, pairs[i].Key), pairs[i].Value)
	}
	return dst
}

func appendLong(dst, value []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

// Scan is the body of a SCAN request.
type Scan struct {
	Cursor  uint64 // 0 starts
	Count   uint32 // wish for the number of keys per reply; 0 = 10
	Options uint8  // Scan… bits
	Pattern string // glob; empty = all keys; shorter than 64 KiB
}

// AppendScan encodes SCAN.
func AppendScan(dst []byte, m Meta, s Scan) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpScan), &m)
	dst = binary.LittleEndian.AppendUint64(dst, s.Cursor)
	dst = binary.LittleEndian.AppendUint32(dst, s.Count)
	dst = append(dst, s.Options)
	return appendEnd(appendKey(dst, s.Pattern), start, &m)
}

// AppendCount encodes COUNT.
func AppendCount(dst []byte, m Meta) []byte { return appendPlain(dst, OpCount, &m, "") }

// AppendFlush encodes FLUSH, which removes every key.
func AppendFlush(dst []byte, m Meta) []byte { return appendPlain(dst, OpFlush, &m, "") }

// AppendSync encodes SYNC, which is answered when every write before it is on disk.
func AppendSync(dst []byte, m Meta) []byte { return appendPlain(dst, OpSync, &m, "") }

// AppendRandomKey encodes RANDOMKEY.
func AppendRandomKey(dst []byte, m Meta) []byte { return appendPlain(dst, OpRandomKey, &m, "") }
