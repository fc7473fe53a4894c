#!/bin/sh
# Makes an authority of your own and a certificate for each server, in the tree of secrets:
#   sh deploy/make_certificates.sh TREE AUTHORITY NAME...
# AUTHORITY is a folder that nobody else needs: it holds the authority's key. TREE/NAME gets tls.key and tls.pem, for the
# host of that name (and NAME2, NAME3: nodes of a cluster); every folder of TREE gets ca.pem, the authority's certificate.
# What is there and good for another 30 days stays. KEY_MODE is the mode of the servers' keys, by default 400.
# Needs openssl 3.
set -eu
tree=$1 authority=$2
shift 2
umask 022
days=825 soon=$((30 * 24 * 3600))
mkdir -p "$authority"

good() { [ -f "$1" ] && openssl x509 -in "$1" -noout -checkend "$soon" >/dev/null; }

if ! good "$authority/ca.pem"; then
    (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$authority/ca.key")
    openssl req -x509 -new -key "$authority/ca.key" -days 3650 -subj "/CN=orders: authority of this system" \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
        -out "$authority/ca.pem"
    for name in "$@"; do rm -f "$tree/$name/tls.pem"; done
fi
for name in "$@"; do
    place=$tree/$name
    good "$place/tls.pem" && continue
    mkdir -p "$place"
    rm -f "$place/tls.key"
    (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$place/tls.key")
    openssl req -x509 -new -key "$place/tls.key" -CA "$authority/ca.pem" -CAkey "$authority/ca.key" -days "$days" \
        -subj "/CN=$name" -addext "subjectAltName=DNS:$name,DNS:${name}2,DNS:${name}3,DNS:localhost" \
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth -out "$place/tls.pem"
    chmod "${KEY_MODE:-400}" "$place/tls.key"
    echo "a certificate for $name"
done
for place in "$tree"/*/; do
    cmp -s "$authority/ca.pem" "$place/ca.pem" || cp "$authority/ca.pem" "$place/ca.pem"
done
