/* TLS 1.3 as one of the securities, by OpenSSL over a BIO of our own: reads come from the bytes of
 * the call, writes go to the buffer of the call, so that nothing is copied on the way. Each open()
 * takes one record. The certificate proves the identity (cert.c). No tickets, no resumption, no
 * server name. Loop thread. */
#include "net/base/alloc.h"
#include "net/base/wait.h"
#include "net/security/secure.h"
#include "net/security/tls/cert.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_HEAD 5
#define RECORD_PLAIN_MAX 16384
#define RECORD_MAX (RECORD_PLAIN_MAX + 256)
#define PENDING_MAX 16384      /* a peer may ask for new keys again and again */
#define ALPN_NO_MUXER "libp2p" /* the muxer is settled by multistream inside */
#define ALPN_MAX 256
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define GROUPS "X25519:P-256:P-384"

struct tls_security {
	struct security base;
	SSL_CTX *context;
	BIO_METHOD *method;
	uint8_t gathered[RECORD_PLAIN_MAX]; /* small parts of one record, within one call */
};

struct tls_channel {
	struct secure base;
	struct tls_security *security;
	SSL *ssl;
	struct bytes in; /* what BIO reads take from; borrowed for a call */
	struct buf *out; /* where BIO writes go; borrowed for a call */
	struct buf
		pending; /* written while nobody gave a buffer: goes before what is sealed next */
	struct peer_id expected, peer;
	int err; /* why the peer's certificate was refused */
	const char *const *muxers;
	size_t muxer_count;
	uint8_t alpn[ALPN_MAX]; /* names that we speak, each behind its length */
	unsigned alpn_len;
	bool dead;
};

static struct tls_channel *channel_of(struct secure *secure)
{
	return container_of(secure, struct tls_channel, base);
}

/* ---- the BIO ---- */

static int bio_write(BIO *bio, const char *data, int len)
{
	struct tls_channel *channel = BIO_get_data(bio);

	buf_add(channel->out, bytes_of(data, (size_t)len));
	return len;
}

static int bio_read(BIO *bio, char *out, int len)
{
	struct tls_channel *channel = BIO_get_data(bio);
	size_t n = channel->in.len < (size_t)len ? channel->in.len : (size_t)len;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(out, channel->in.at, n);
	channel->in = bytes_skip(channel->in, n);
	return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

/* ---- who the peer is ---- */

/* Judges the peer's chain during the handshake: it must be one valid libp2p certificate, of the
 * expected peer. */
static int check_peer(struct tls_channel *channel, X509_STORE_CTX *store)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	struct public_key key;
	uint8_t *der = NULL;
	int len, err;

	if (sk_X509_num(chain) != 1)
		return -EKEYREJECTED;
	len = i2d_X509(X509_STORE_CTX_get0_cert(store), &der);
	if (len <= 0)
		return -EBADMSG;
	err = cert_verify(bytes_of(der, (size_t)len), (int64_t)(wallclock_ns() / 1000000000), &key);
	OPENSSL_free(der);
	if (err)
		return -EKEYREJECTED;
	peer_id_of_key(&channel->peer, &key);
	if (peer_id_is_set(&channel->expected) &&
	    !peer_id_equal(&channel->expected, &channel->peer))
		return -EKEYREJECTED;
	return 0;
}

static int on_verify(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_channel *channel = SSL_get_app_data(ssl);

	(void)arg;
	channel->err = check_peer(channel, store);
	if (channel->err)
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return channel->err == 0;
}

/* ---- which muxer ---- */

/* The listener takes the dialler's first name that it speaks too. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned in_len, void *arg)
{
	struct tls_channel *channel = SSL_get_app_data(ssl);
	unsigned char *chosen;

	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, in, in_len, channel->alpn, channel->alpn_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void alpn_add(struct tls_channel *channel, const char *name)
{
	size_t len = strlen(name);

	assert(len < 256 && channel->alpn_len + 1 + len <= ALPN_MAX);
	channel->alpn[channel->alpn_len++] = (uint8_t)len;
	memcpy(channel->alpn + channel->alpn_len, name, len);
	channel->alpn_len += (unsigned)len;
}

/* ---- the channel ---- */

static int channel_die(struct tls_channel *channel, int err)
{
	channel->dead = true;
	ERR_clear_error();
	return err;
}

static int channel_handshake(struct secure *secure, struct bytes in, size_t *used, struct buf *out)
{
	struct tls_channel *channel = channel_of(secure);
	int rc;

	*used = 0;
	if (channel->dead)
		return -EBADMSG;
	channel->in = in;
	channel->out = out;
	ERR_clear_error();
	rc = SSL_do_handshake(channel->ssl);
	channel->out = &channel->pending;
	*used = in.len - channel->in.len;
	channel->in = (struct bytes){ 0 };
	if (rc == 1)
		return 1;
	if (SSL_get_error(channel->ssl, rc) == SSL_ERROR_WANT_READ)
		return 0;
	return channel_die(channel, channel->err ? channel->err : -EBADMSG);
}

/* One or more records. */
static int write_plain(struct tls_channel *channel, const uint8_t *at, size_t len)
{
	size_t done;

	if (len > 0 && SSL_write_ex(channel->ssl, at, len, &done) != 1)
		return channel_die(channel, -EOVERFLOW);
	return 0;
}

/* Encrypts the parts into full records. Small parts are gathered; a part of a record's size is not
 * copied. */
static int seal_parts(struct tls_channel *channel, const struct bytes *parts, size_t count)
{
	uint8_t *gathered = channel->security->gathered;
	size_t held = 0;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		struct bytes part = parts[i];

		while (part.len > 0 && !err) {
			size_t n = RECORD_PLAIN_MAX - held;

			if (held == 0 && part.len >= RECORD_PLAIN_MAX) {
				err = write_plain(channel, part.at, RECORD_PLAIN_MAX);
				part = bytes_skip(part, RECORD_PLAIN_MAX);
				continue;
			}
			n = part.len < n ? part.len : n;
			memcpy(gathered + held, part.at, n);
			held += n;
			part = bytes_skip(part, n);
			if (held == RECORD_PLAIN_MAX) {
				err = write_plain(channel, gathered, held);
				held = 0;
			}
		}
	}
	return err ? err : write_plain(channel, gathered, held);
}

static int channel_seal(struct secure *secure, const struct bytes *parts, size_t count,
			struct buf *out)
{
	struct tls_channel *channel = channel_of(secure);
	int err;

	if (channel->dead)
		return -EBADMSG;
	buf_add(out, buf_bytes(&channel->pending));
	buf_clear(&channel->pending);
	channel->out = out;
	err = seal_parts(channel, parts, count);
	channel->out = &channel->pending;
	return err;
}

static size_t record_len(struct bytes begun)
{
	return RECORD_HEAD + ((size_t)begun.at[3] << 8 | begun.at[4]);
}

static size_t channel_lacks(const struct secure *secure, struct bytes begun)
{
	size_t whole = RECORD_HEAD;

	(void)secure;
	if (begun.len >= RECORD_HEAD)
		whole = record_len(begun);
	return whole > begun.len ? whole - begun.len : 0;
}

static ssize_t channel_open(struct secure *secure, uint8_t *at, size_t len, struct bytes *plain)
{
	struct tls_channel *channel = channel_of(secure);
	size_t whole, got = 0;
	int rc;

	*plain = (struct bytes){ 0 };
	if (channel->dead)
		return -EBADMSG;
	if (len < RECORD_HEAD)
		return 0;
	whole = record_len(bytes_of(at, len));
	if (whole > RECORD_HEAD + RECORD_MAX)
		return channel_die(channel, -EBADMSG);
	if (len < whole)
		return 0;
	channel->in = bytes_of(at, whole);
	ERR_clear_error();
	rc = SSL_read_ex(channel->ssl, at, whole,
			 &got); /* the record is in OpenSSL's memory by then */
	if (rc != 1) {
		int why = SSL_get_error(channel->ssl, rc);

		/* Nothing for us: a message of the handshake's, or the peer's last word. */
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN)
			return channel_die(channel, -EBADMSG);
	}
	if (channel->in.len > 0 || SSL_pending(channel->ssl) > 0 ||
	    channel->pending.len > PENDING_MAX)
		return channel_die(channel, -EBADMSG);
	*plain = bytes_of(at, got);
	return (ssize_t)whole;
}

static const struct peer_id *channel_peer(const struct secure *secure)
{
	return &container_of((struct secure *)secure, struct tls_channel, base)->peer;
}

static const char *channel_muxer(const struct secure *secure)
{
	const struct tls_channel *channel =
		container_of((struct secure *)secure, struct tls_channel, base);
	const unsigned char *name = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(channel->ssl, &name, &len);
	for (size_t i = 0; i < channel->muxer_count; i++)
		if (bytes_equal(bytes_of(name, len), bytes_str(channel->muxers[i])))
			return channel->muxers[i];
	return NULL;
}

static void channel_free(struct secure *secure)
{
	struct tls_channel *channel = channel_of(secure);

	SSL_free(channel->ssl);
	buf_release(&channel->pending);
	free(channel);
}

static const struct secure_ops channel_ops = {
	.handshake = channel_handshake,
	.seal = channel_seal,
	.lacks = channel_lacks,
	.open = channel_open,
	.peer = channel_peer,
	.muxer = channel_muxer,
	.free = channel_free,
};

/* ---- the security ---- */

static void attach(struct tls_channel *channel, bool dialler)
{
	BIO *bio = BIO_new(channel->security->method);

	channel->ssl = SSL_new(channel->security->context);
	assert(bio && channel->ssl); /* out of memory */
	BIO_set_data(bio, channel);
	BIO_set_init(bio, 1);
	SSL_set_bio(channel->ssl, bio, bio);
	SSL_set_app_data(channel->ssl, channel);
	if (dialler) {
		SSL_set_alpn_protos(channel->ssl, channel->alpn, channel->alpn_len);
		SSL_set_connect_state(channel->ssl);
	} else {
		SSL_set_accept_state(channel->ssl);
	}
}

static struct secure *tls_start(struct security *security, bool dialler,
				const struct peer_id *expected, const char *const *muxers,
				size_t muxer_count)
{
	struct tls_channel *channel = xnew(struct tls_channel);

	channel->base.ops = &channel_ops;
	channel->security = container_of(security, struct tls_security, base);
	channel->out = &channel->pending;
	channel->expected = *expected;
	channel->muxers = muxers;
	channel->muxer_count = muxer_count;
	for (size_t i = 0; i < muxer_count; i++)
		alpn_add(channel, muxers[i]);
	alpn_add(channel, ALPN_NO_MUXER);
	attach(channel, dialler);
	return &channel->base;
}

static void tls_free(struct security *security)
{
	struct tls_security *own = container_of(security, struct tls_security, base);

	SSL_CTX_free(own->context);
	BIO_meth_free(own->method);
	free(own);
}

static const struct security_ops tls_ops = {
	.name = "/tls/1.0.0",
	.start = tls_start,
	.free = tls_free,
};

static int set_context(SSL_CTX *context, const struct cert *cert)
{
	bool done = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
		    SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
		    SSL_CTX_set_ciphersuites(context, CIPHERS) == 1 &&
		    SSL_CTX_set1_groups_list(context, GROUPS) == 1 &&
		    SSL_CTX_set_num_tickets(context, 0) == 1 &&
		    SSL_CTX_use_certificate_ASN1(context, (int)cert->der.len, cert->der.at) == 1 &&
		    SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, context, cert->key.at,
						(long)cert->key.len) == 1;

	if (!done)
		return -EIO;
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(context, CERT_DER_MAX);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(context, on_verify, NULL);
	SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	return 0;
}

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dagfs");

	if (method) {
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	return method;
}

struct security *security_tls_new(const struct identity *identity)
{
	struct tls_security *own = xnew(struct tls_security);
	struct cert cert;
	int err = cert_make(&cert, identity, (int64_t)(wallclock_ns() / 1000000000));

	own->base.ops = &tls_ops;
	own->context = SSL_CTX_new(TLS_method());
	own->method = make_method();
	if (!err)
		err = own->context && own->method ? set_context(own->context, &cert) : -EIO;
	cert_release(&cert);
	ERR_clear_error();
	if (!err)
		return &own->base;
	tls_free(&own->base);
	return NULL;
}
