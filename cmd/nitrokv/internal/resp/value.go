package resp

// Kinds of values: the bytes that they begin with on the wire.
const (
	Status    = '+'
	Error     = '-'
	Int       = ':'
	Bulk      = '$'
	Array     = '*'
	Null      = '_'
	Bool      = '#'
	Double    = ','
	BigNumber = '('
	Verbatim  = '='
	Map       = '%'
	Set       = '~'
	Push      = '>'
)

// A Value is a reply or a part of one. What RESP2 and RESP3 write in several ways has one form here: the null bulk string
// and the null array are Null, a bulk error is an Error. Attributes, which no reply depends on, are dropped.
type Value struct {
	Kind  byte    // one of the constants
	Text  string  // of all kinds with bytes; of Double and BigNumber as it was sent; of Verbatim without its format
	Int   int64   // of Int; of Bool 0 or 1
	Elems []Value // of Array, Set and Push; of Map keys and values in turns
}
