use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// Room for a request of common size. tonic's own default of 8 KiB, taken twice for every call,
/// is more than the allocator keeps at hand and shows in the cost of a small put.
const BUFFER_BYTES: usize = 512;

/// A streaming call hands over what it has encoded once it is this much.
const YIELD_BYTES: usize = 32 << 10;

/// How messages become bytes: as in [`tonic_prost::ProstCodec`], with buffers that fit what is
/// common here, which is small messages and now and then a very large one.
#[derive(Debug)]
pub struct FittedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for FittedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for FittedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = FittedEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        FittedEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(buffer_settings())
    }
}

/// The half of [`FittedCodec`] that writes.
#[derive(Debug)]
pub struct FittedEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for FittedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // All of it at once: a large answer would otherwise be copied each time the buffer grows.
        buffer.reserve(message.encoded_len());
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

fn buffer_settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}
