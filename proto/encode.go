package proto

import "encoding/binary"

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

// AppendGet encodes GET.
func AppendGet[K Bytes](dst []byte, m Meta, key K) []byte {
	return appendKeyed(dst, OpGet, &m, key)
}

// AppendSet encodes SET; blocks in m make it conditional or give it an expiry.
func AppendSet[K, V Bytes](dst []byte, m Meta, key K, value V) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpSet), &m)
	return appendEnd(append(appendKey(dst, key), value...), start, &m)
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
	start := len(dst)
	dst = append(appendStart(dst, KindRequest, uint8(OpGetX), &m), options)
	return appendEnd(appendKey(dst, key), start, &m)
}

// AppendSetX encodes SETX with SetX… option bits.
func AppendSetX[K, V Bytes](dst []byte, m Meta, options uint8, key K, value V) []byte {
	start := len(dst)
	dst = append(appendStart(dst, KindRequest, uint8(OpSetX), &m), options)
	return appendEnd(append(appendKey(dst, key), value...), start, &m)
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

// KV is one pair of MSET.
type KV struct {
	Key   string
	Value []byte
}

// AppendMSet encodes MSET. Values must be shorter than 4 GiB.
func AppendMSet(dst []byte, m Meta, pairs []KV) []byte {
	start := len(dst)
	dst = appendStart(dst, KindRequest, uint8(OpMSet), &m)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(pairs)))
	for i := range pairs {
		dst = appendLong(appendKey(dst, pairs[i].Key), pairs[i].Value)
	}
	return appendEnd(dst, start, &m)
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
