package engine

/*
#include "nitro.h"
*/
import "C"

import "fmt"

// Compression is how the blocks of a snapshot are compressed.
type Compression uint8

// The ways to compress. The zero value is the default.
const (
	CompressionZstd Compression = iota // the smallest files
	CompressionLZ4                     // less work
	CompressionNone
)

var compressionNames = [...]string{CompressionZstd: "zstd", CompressionLZ4: "lz4", CompressionNone: "none"}

// ParseCompression is the reverse of Compression.String.
func ParseCompression(s string) (Compression, error) {
	for c, name := range compressionNames {
		if name == s {
			return Compression(c), nil
		}
	}
	return 0, fmt.Errorf("engine: compression %q, want zstd, lz4 or none: %w", s, ErrArgument)
}

// String returns "zstd", "lz4" or "none".
func (c Compression) String() string {
	if int(c) < len(compressionNames) {
		return compressionNames[c]
	}
	return fmt.Sprintf("compression %d", uint8(c))
}

// number is what the engine calls it.
func (c Compression) number() C.enum_nitro_compression {
	return [...]C.enum_nitro_compression{
		CompressionZstd: C.NITRO_COMPRESSION_ZSTD,
		CompressionLZ4:  C.NITRO_COMPRESSION_LZ4,
		CompressionNone: C.NITRO_COMPRESSION_NONE,
	}[c]
}

// ValueCompression is how values are compressed in ModeBitcask.
type ValueCompression uint8

// The ways to compress values. The zero value is the default.
const (
	ValueCompressionNone ValueCompression = C.NITRO_COMPRESSION_NONE
	ValueCompressionLZ4  ValueCompression = C.NITRO_COMPRESSION_LZ4  // less work
	ValueCompressionZstd ValueCompression = C.NITRO_COMPRESSION_ZSTD // the smallest files
)

var valueCompressionNames = [...]string{ValueCompressionNone: "none", ValueCompressionLZ4: "lz4", ValueCompressionZstd: "zstd"}

// ParseValueCompression is the reverse of ValueCompression.String.
func ParseValueCompression(s string) (ValueCompression, error) {
	for c, name := range valueCompressionNames {
		if name == s {
			return ValueCompression(c), nil
		}
	}
	return 0, fmt.Errorf("engine: value compression %q, want zstd, lz4 or none: %w", s, ErrArgument)
}

// String returns "none", "lz4" or "zstd".
func (c ValueCompression) String() string {
	if int(c) < len(valueCompressionNames) {
		return valueCompressionNames[c]
	}
	return fmt.Sprintf("value compression %d", uint8(c))
}
