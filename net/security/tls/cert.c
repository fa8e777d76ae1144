/* Certificates by OpenSSL; the extension's DER is read strictly by our own reader. The extension
 * signs the DER of the certificate's public key behind a prefix, so that neither can be exchanged.
 * Any thread. */
#include "net/security/tls/cert.h"

#include "net/wire/der.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>

#define EXTENSION_OID "1.3.6.1.4.1.53594.1.1"
#define SIGNED_PREFIX "libp2p-tls-handshake:"
#define VALID_DAYS 36500
#define BACKDATED_S 3600
#define CERT_KEY_BITS_MAX 8192 /* of the certificate's own key: what is larger costs too much */

/* ---- the extension ---- */

/* What the identity key signs: the prefix and the SubjectPublicKeyInfo. */
static int signed_text(struct buf *out, X509 *x509)
{
	uint8_t *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &spki);

	if (len <= 0)
		return -EBADMSG;
	buf_add_str(out, SIGNED_PREFIX);
	buf_add(out, bytes_of(spki, (size_t)len));
	OPENSSL_free(spki);
	return 0;
}

static void add_octets(struct buf *out, struct bytes value)
{
	uint8_t head[2] = { DER_OCTETS, (uint8_t)value.len };

	buf_add(out, bytes_of(head, sizeof head)); /* ours are shorter than 128 bytes */
	buf_add(out, value);
}

static int add_extension(X509 *x509, const struct identity *identity)
{
	struct buf text = { 0 }, body = { 0 }, value = { 0 };
	uint8_t signature[64];
	ASN1_OBJECT *oid = OBJ_txt2obj(EXTENSION_OID, 1);
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	int err = signed_text(&text, x509);

	if (!err) {
		identity_sign(identity, buf_bytes(&text), signature);
		add_octets(&body, public_key_proto(identity_public(identity)));
		add_octets(&body, bytes_of(signature, sizeof signature));
		uint8_t head[3] = { DER_SEQUENCE, 0x81, (uint8_t)body.len };

		if (body.len < 128)
			buf_add(&value,
				bytes_of((uint8_t[]){ DER_SEQUENCE, (uint8_t)body.len }, 2));
		else
			buf_add(&value, bytes_of(head, sizeof head));
		buf_add(&value, buf_bytes(&body));
		if (oid && octets && ASN1_OCTET_STRING_set(octets, value.at, (int)value.len) == 1)
			extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, octets);
		err = extension && X509_add_ext(x509, extension, -1) == 1 ? 0 : -EIO;
	}
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(octets);
	ASN1_OBJECT_free(oid);
	buf_release(&value);
	buf_release(&body);
	buf_release(&text);
	return err;
}

/* The extension's two fields, borrowed from x509. Critical extensions that nobody here knows are
 * refused. */
static int find_extension(X509 *x509, struct bytes *key, struct bytes *signature)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(EXTENSION_OID, 1);
	struct bytes value = { 0 }, sequence;
	bool found = false, unknown = !oid;

	for (int i = 0; i < X509_get_ext_count(x509) && !unknown; i++) {
		X509_EXTENSION *extension = X509_get_ext(x509, i);

		if (OBJ_cmp(X509_EXTENSION_get_object(extension), oid) == 0) {
			const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);

			unknown = found; /* twice */
			found = true;
			value = bytes_of(ASN1_STRING_get0_data(data),
					 (size_t)ASN1_STRING_length(data));
		} else if (X509_EXTENSION_get_critical(extension)) {
			unknown = X509_supported_extension(extension) != 1;
		}
	}
	ASN1_OBJECT_free(oid);
	if (!found || unknown || !der_take(&value, DER_SEQUENCE, &sequence) || value.len > 0 ||
	    !der_take(&sequence, DER_OCTETS, key) || !der_take(&sequence, DER_OCTETS, signature) ||
	    sequence.len > 0)
		return -EBADMSG;
	return 0;
}

/* ---- making ---- */

static int cert_fill(X509 *x509, EVP_PKEY *key, int64_t now_s)
{
	X509_NAME *name = X509_get_subject_name(x509);
	time_t from = (time_t)now_s - BACKDATED_S;
	bool done = X509_set_version(x509, X509_VERSION_3) == 1 &&
		    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), (uint64_t)now_s) == 1 &&
		    X509_time_adj_ex(X509_getm_notBefore(x509), 0, 0, &from) &&
		    X509_time_adj_ex(X509_getm_notAfter(x509), VALID_DAYS, 0, &from) &&
		    X509_set_pubkey(x509, key) == 1 &&
		    X509_NAME_add_entry_by_txt(name, "serialNumber", MBSTRING_ASC,
					       (const unsigned char *)"1", -1, -1, 0) == 1 &&
		    X509_set_issuer_name(x509, name) == 1;

	return done ? 0 : -EIO;
}

/* Appends what cert_encode() allocates. */
static int keep_der(struct buf *out, uint8_t *der, int len)
{
	if (len > 0)
		buf_add(out, bytes_of(der, (size_t)len));
	if (der)
		OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
	return len > 0 ? 0 : -EIO;
}

static int cert_encode(struct cert *cert, X509 *x509, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *pkcs8 = EVP_PKEY2PKCS8(key);
	uint8_t *der = NULL;
	int len = i2d_X509(x509, &der);
	int err = keep_der(&cert->der, der, len);

	der = NULL;
	len = pkcs8 ? i2d_PKCS8_PRIV_KEY_INFO(pkcs8, &der) : -1;
	if (!err)
		err = keep_der(&cert->key, der, len);
	else
		OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(pkcs8);
	return err;
}

int cert_make(struct cert *cert, const struct identity *identity, int64_t now_s)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();
	int err = key && x509 ? cert_fill(x509, key, now_s) : -EIO;

	*cert = (struct cert){ 0 };
	if (!err)
		err = add_extension(x509, identity);
	if (!err && X509_sign(x509, key, EVP_sha256()) <= 0)
		err = -EIO;
	if (!err)
		err = cert_encode(cert, x509, key);
	if (err)
		cert_release(cert);
	X509_free(x509);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return err;
}

void cert_release(struct cert *cert)
{
	if (cert->key.at)
		sodium_memzero(cert->key.at, cert->key.len);
	buf_release(&cert->key);
	buf_release(&cert->der);
}

/* ---- verifying ---- */

static int check_dates(const X509 *x509, int64_t now_s)
{
	time_t now = (time_t)now_s;
	int from = X509_cmp_time(X509_get0_notBefore(x509), &now);
	int until = X509_cmp_time(X509_get0_notAfter(x509), &now);

	if (from == 0 || until == 0)
		return -EBADMSG; /* not times */
	return from < 0 && until > 0 ? 0 : -EKEYREJECTED;
}

static int check_self_signed(X509 *x509)
{
	EVP_PKEY *key = X509_get0_pubkey(x509);

	if (!key || EVP_PKEY_get_bits(key) > CERT_KEY_BITS_MAX)
		return -EBADMSG;
	return X509_verify(x509, key) == 1 ? 0 : -EKEYREJECTED;
}

static int check_identity(X509 *x509, struct public_key *key)
{
	struct bytes proto, signature;
	struct buf text = { 0 };
	int err = find_extension(x509, &proto, &signature);

	if (!err)
		err = public_key_decode(key, proto);
	if (!err)
		err = signed_text(&text, x509);
	if (!err)
		err = public_key_verify(key, buf_bytes(&text), signature);
	buf_release(&text);
	return err;
}

int cert_verify(struct bytes der, int64_t now_s, struct public_key *key)
{
	const uint8_t *at = der.at;
	X509 *x509;
	int err;

	if (der.len == 0 || der.len > CERT_DER_MAX)
		return -EBADMSG;
	x509 = d2i_X509(NULL, &at, (long)der.len);
	err = x509 && at == der.at + der.len ? 0 : -EBADMSG;
	if (!err)
		err = check_dates(x509, now_s);
	if (!err)
		err = check_identity(x509, key);
	if (!err)
		err = check_self_signed(x509);
	X509_free(x509);
	ERR_clear_error();
	return err;
}
