/* BLAKE3 in plain hash mode, in portable C: 150 lines here instead of one more library. Pure; any
 * thread. */
#include "net/wire/blake3.h"

#include <string.h>

/* The input is cut into chunks of 1024 bytes, the leaves of a binary tree whose left side is always
 * complete. Chunks are hashed in order; finished left subtrees wait on a stack, at most one for
 * each height, so 54 hold 2^64 bytes. */
#define BLOCK_LEN 64
#define CHUNK_LEN 1024
#define STACK_MAX 54
#define ROUNDS 7

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

/* All that one compression reads. */
struct node {
	uint32_t chain[8];
	uint32_t block[16];
	uint64_t counter;
	uint32_t len, flags;
};

static const uint32_t start[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t blake3_rotate(uint32_t word, unsigned bits)
{
	return word >> bits | word << (32 - bits);
}

static inline void mix(uint32_t v[static 16], unsigned a, unsigned b, unsigned c, unsigned d,
		       uint32_t x, uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = blake3_rotate(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = blake3_rotate(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = blake3_rotate(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = blake3_rotate(v[b] ^ v[c], 7);
}

static void permute(uint32_t m[static 16])
{
	static const uint8_t from[16] = { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 };
	uint32_t old[16];

	memcpy(old, m, sizeof(old));
	for (unsigned i = 0; i < 16; i++)
		m[i] = old[from[i]];
}

/* The compression function of one block (section 2.2 of the BLAKE3 paper). */
static void compress(uint32_t out[static 8], const struct node *node)
{
	uint32_t v[16], m[16];

	memcpy(v, node->chain, sizeof(node->chain));
	memcpy(v + 8, start, 4 * sizeof(*v));
	v[12] = (uint32_t)node->counter;
	v[13] = (uint32_t)(node->counter >> 32);
	v[14] = node->len;
	v[15] = node->flags;
	memcpy(m, node->block, sizeof(m));
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (round > 0)
			permute(m);
		mix(v, 0, 4, 8, 12, m[0], m[1]);
		mix(v, 1, 5, 9, 13, m[2], m[3]);
		mix(v, 2, 6, 10, 14, m[4], m[5]);
		mix(v, 3, 7, 11, 15, m[6], m[7]);
		mix(v, 0, 5, 10, 15, m[8], m[9]);
		mix(v, 1, 6, 11, 12, m[10], m[11]);
		mix(v, 2, 7, 8, 13, m[12], m[13]);
		mix(v, 3, 4, 9, 14, m[14], m[15]);
	}
	for (unsigned i = 0; i < 8; i++)
		out[i] = v[i] ^ v[i + 8];
}

static void load_block(struct node *node, struct bytes in)
{
	uint8_t raw[BLOCK_LEN] = { 0 };

	if (in.len > 0)
		memcpy(raw, in.at, in.len);
	for (unsigned i = 0; i < 16; i++)
		node->block[i] = (uint32_t)raw[4 * i] | (uint32_t)raw[4 * i + 1] << 8 |
				 (uint32_t)raw[4 * i + 2] << 16 | (uint32_t)raw[4 * i + 3] << 24;
	node->len = (uint32_t)in.len;
}

/* Everything of one chunk but its last compression, which differs at the root. */
static struct node chunk_node(struct bytes chunk, uint64_t counter)
{
	struct node node = { .counter = counter, .flags = CHUNK_START };

	memcpy(node.chain, start, sizeof(start));
	while (chunk.len > BLOCK_LEN) {
		load_block(&node, bytes_of(chunk.at, BLOCK_LEN));
		compress(node.chain, &node);
		node.flags = 0;
		chunk = bytes_of(chunk.at + BLOCK_LEN, chunk.len - BLOCK_LEN);
	}
	load_block(&node, chunk);
	node.flags |= CHUNK_END;
	return node;
}

static struct node parent_node(const uint32_t left[static 8], const uint32_t right[static 8])
{
	struct node node = { .len = BLOCK_LEN, .flags = PARENT };

	memcpy(node.chain, start, sizeof(start));
	memcpy(node.block, left, 8 * sizeof(*left));
	memcpy(node.block + 8, right, 8 * sizeof(*right));
	return node;
}

void blake3_hash(uint8_t out[static BLAKE3_LEN], struct bytes data)
{
	uint32_t stack[STACK_MAX][8], chain[8];
	unsigned depth = 0;
	uint64_t chunks = 0;
	struct node node;

	while (data.len > CHUNK_LEN) {
		node = chunk_node(bytes_of(data.at, CHUNK_LEN), chunks++);
		compress(chain, &node);
		/* As many merges as the count of chunks has trailing zeros. None can be the root:
		 * at least one chunk follows. */
		for (uint64_t n = chunks; n % 2 == 0; n /= 2) {
			node = parent_node(stack[--depth], chain);
			compress(chain, &node);
		}
		memcpy(stack[depth++], chain, sizeof(chain));
		data = bytes_of(data.at + CHUNK_LEN, data.len - CHUNK_LEN);
	}
	node = chunk_node(data, chunks);
	while (depth > 0) {
		compress(chain, &node);
		node = parent_node(stack[--depth], chain);
	}
	node.flags |= ROOT;
	compress(chain, &node);
	for (unsigned i = 0; i < BLAKE3_LEN; i++)
		out[i] = (uint8_t)(chain[i / 4] >> (8 * (i % 4)));
}
