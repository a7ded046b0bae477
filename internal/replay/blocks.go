package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of the blocks of a pcapng file (draft-ietf-opsawg-pcapng, 4).
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	oldPacket      = 2
	simplePacket   = 3
	enhancedPacket = 6
)

// What a pcapng file may have: a frame of maxFrame bytes with as much of options, and interfaces by the thousands.
const (
	maxBlock          = 2 * maxFrame
	maxInterfaceBlock = 8 << 10
	maxInterfaces     = 4096 // of a section
)

// errBlockCut says that a pcapng file ends in the middle of a block. It isn't io.ErrUnexpectedEOF, which pcapgo takes
// for the end of the file.
var errBlockCut = errors.New("the file ends in the middle of a block")

// blocks passes on what a pcapng file says of sections, interfaces and frames, block by block, and nothing else.
// pcapgo goes by the lengths in a block: it reads on into the next ones if they are wrong, and keeps names and
// secrets in memory, however many there are. So blocks refuses those whose lengths are wrong, or too great.
//
// A block, in bytes: type 4, length of the whole 4, body, the length again 4; all in the byte order of its section.
type blocks struct {
	in         *bufio.Reader
	order      binary.ByteOrder
	interfaces int    // of this section
	block      []byte // reused
	rest       []byte // of block, what is to be passed on
}

func (b *blocks) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

const (
	blockStart = 8 // type, length
	blockEnd   = 4 // length
)

// next reads a block into b.rest, or skips one.
func (b *blocks) next() error {
	start, err := b.in.Peek(blockStart + 4)
	if err != nil {
		return endOf(start, err)
	}
	if binary.BigEndian.Uint32(start) == sectionHeader {
		b.order = orderOf(start[blockStart:])
		b.interfaces = 0
	}
	if b.order == nil {
		return errors.New("a section has no byte order")
	}
	kind, length := b.order.Uint32(start), int64(b.order.Uint32(start[4:]))
	if length < blockStart+blockEnd || length%4 != 0 {
		return fmt.Errorf("a block is %d bytes long", length)
	}
	switch kind {
	case sectionHeader, interfaceBlock, oldPacket, enhancedPacket:
		return b.take(kind, length)
	case simplePacket:
		return errors.New("its frames are in simple packet blocks, which don't say when they were captured")
	}
	_, err = b.in.Discard(int(length))
	return endOf(start, err)
}

// endOf returns err, which came after some bytes of a block, as errBlockCut if the file ends there.
func endOf(some []byte, err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF && len(some) > 0 {
		return errBlockCut
	}
	return err
}

// orderOf returns the byte order in which b has the number that says it, or nil.
func orderOf(b []byte) binary.ByteOrder {
	const magic = 0x1a2b3c4d
	switch {
	case binary.BigEndian.Uint32(b) == magic:
		return binary.BigEndian
	case binary.LittleEndian.Uint32(b) == magic:
		return binary.LittleEndian
	}
	return nil
}

// take reads a block that is to be passed on.
func (b *blocks) take(kind uint32, length int64) error {
	most := int64(maxBlock)
	if kind == interfaceBlock {
		most = maxInterfaceBlock
		b.interfaces++
	}
	switch {
	case length > most:
		return fmt.Errorf("a block is %d bytes long, which is more than the %d that are read", length, most)
	case b.interfaces > maxInterfaces:
		return fmt.Errorf("it has more than %d interfaces", maxInterfaces)
	}
	if int64(cap(b.block)) < length {
		b.block = make([]byte, length)
	}
	b.block = b.block[:length]
	if _, err := io.ReadFull(b.in, b.block); err != nil {
		return endOf(b.block, err)
	}
	if !b.isSound(kind) {
		return errors.New("a block's lengths contradict each other")
	}
	b.rest = b.block
	return nil
}

// isSound reports whether everything in b.block ends where the block does, or before.
//
// Before its options, in bytes, an interface has link type 2, reserved 2, snap length 4; a section byte order 4,
// version 4, length 8; a frame interface 4 (or, in an old block, interface 2, dropped 2), time 8, captured length 4,
// length 4, and then its data, padded to a multiple of 4.
func (b *blocks) isSound(kind uint32) bool {
	end := len(b.block) - blockEnd
	if b.order.Uint32(b.block[end:]) != uint32(len(b.block)) {
		return false
	}
	body := b.block[blockStart:end]
	before := b.beforeOptions(kind, body)
	return int64(len(body)) >= before && b.optionsFit(body[before:])
}

// beforeOptions returns how many bytes a body should have before its options.
func (b *blocks) beforeOptions(kind uint32, body []byte) int64 {
	const interfaceLen, sectionLen, frameLen, captured = 8, 16, 20, 12
	switch kind {
	case interfaceBlock:
		return interfaceLen
	case sectionHeader:
		return sectionLen
	}
	if len(body) < frameLen {
		return frameLen
	}
	return frameLen + padded(b.order.Uint32(body[captured:]))
}

// padded rounds n up to a multiple of 4.
func padded(n uint32) int64 { return (int64(n) + 3) &^ 3 }

// optionsFit reports whether options are whole: code 2, length 2, value, padding to a multiple of 4. A code of 0 is
// the end.
func (b *blocks) optionsFit(options []byte) bool {
	for len(options) > 0 {
		n := 4 + padded(uint32(b.order.Uint16(options[2:])))
		if n > int64(len(options)) {
			return false
		}
		if b.order.Uint16(options) == 0 {
			return true
		}
		options = options[n:]
	}
	return true
}
