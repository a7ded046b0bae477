package replay

import "bytes"

// compressions are the first bytes of compressed files, except gzip's, which are read as they are.
var compressions = []struct{ magic, advice string }{
	{"\xfd7zXZ\x00", "the file is compressed by xz: xzcat FILE | arpfabric replay ... -"},
	{"\x28\xb5\x2f\xfd", "the file is compressed by zstd: zstdcat FILE | arpfabric replay ... -"},
	{"\x04\x22\x4d\x18", "the file is compressed by lz4: lz4cat FILE | arpfabric replay ... -"},
	{"BZh", "the file is compressed by bzip2: bzcat FILE | arpfabric replay ... -"},
	{"\x1f\x9d", "the file is compressed by compress: zcat FILE | arpfabric replay ... -"},
	{"PK\x03\x04", "the file is a zip archive: unzip -p FILE | arpfabric replay ... -"},
	{"7z\xbc\xaf\x27\x1c", "the file is a 7z archive: unpack it first"},
}

const longestMagic = 6

// compressionOf says how a file is compressed, by its first bytes, and what to do, or returns "".
func compressionOf(start []byte) string {
	for _, c := range compressions {
		if bytes.HasPrefix(start, []byte(c.magic)) {
			return c.advice
		}
	}
	return ""
}
