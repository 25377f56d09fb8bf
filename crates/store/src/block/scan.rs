//! Which events of an open block a filter wants, read from the packed form: no event, no process and no JSON is made.
//!
//! What an image holds is known field by field as bits of the filter, so that an image written as what differs from another
//! is only looked at where it differs.

use super::field::{Field as Packed, Input, take_bytes};
use super::sieve::Sieve;
use super::{COMPLETE, EXEC, EXIT, FORK, NEW, NOBODY, SOURCE, blank, image, moment};
use crate::digests::Lookup;
use bartizan_model::{EventKind, ExeFile, Process, ProcessKey, Timestamp};
use bartizan_protocol::{EventQuery, Field, Value, is_of_kind};

/// An event of a block that is wanted, by its place; `sure` when the packed form alone said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) place: usize,
    pub(crate) sure: bool,
}

/// Places of bits in [`Image::held`]: the plain fields have the numbers of `image.rs`.
const EXE_FILE: usize = 4;
const PACKAGE: usize = 21;
const ELIDED: usize = 24;
const PID: usize = 26;
const SINCE: usize = 27;
const HELD: usize = 28;

/// What is known of one image.
#[derive(Debug, Clone)]
struct Image<'a> {
    held: [u64; HELD],
    key: ProcessKey,
    /// As it was written, without what became known later.
    file: ExeFile,
    package: Option<&'a [u8]>,
    elided: u32,
    roots: bool,
    /// Where its ancestors stand in [`Scan::ancestors`].
    ancestors: (usize, usize),
    /// All of it together.
    all: u64,
}

struct Scan<'a, 's, 'f> {
    sieve: &'s Sieve<'f>,
    images: Vec<Image<'a>>,
    ancestors: Vec<u64>,
}

/// The events of an open block that may be wanted; `None` when its bytes make no sense.
pub(crate) fn scan(raw: &[u8], sieve: &Sieve<'_>, query: &EventQuery, lookup: &mut Lookup<'_>) -> Option<Vec<Candidate>> {
    let mut scan = Scan { sieve, images: Vec::new(), ancestors: Vec::new() };
    let written = image::whole(&blank());
    let first = scan.image(None, Timestamp::UNIX_EPOCH, &mut Input::new(&written), lookup)?;
    scan.images.push(first);
    let mut input = Input::new(raw);
    let (mut before, mut wanted, mut place) = ((0u64, Timestamp::UNIX_EPOCH), Vec::new(), 0);
    while !input.is_empty() {
        let (id, at, verdict) = scan.event(&mut input, before, query, lookup)?;
        if let Some(sure) = verdict {
            wanted.push(Candidate { place, sure });
        }
        before = (id, at);
        place += 1;
    }
    Some(wanted)
}

impl<'a> Scan<'a, '_, '_> {
    /// The next event: its number, its moment, and whether it is wanted, surely or perhaps.
    fn event(
        &mut self,
        input: &mut Input<'a>,
        before: (u64, Timestamp),
        query: &EventQuery,
        lookup: &mut Lookup<'_>,
    ) -> Option<(u64, Timestamp, Option<bool>)> {
        let sieve = self.sieve;
        let first = input.byte()?;
        let source = *sieve.sources.get(usize::from(first >> SOURCE))?;
        let id = before.0.wrapping_add(i64::take(input)? as u64);
        let at = moment::take(before.1, input)?;
        let (name, happened) = match first & 3 {
            EXEC => ("process.exec", 0),
            FORK => ("process.fork", 0),
            EXIT => ("process.exit", sieve.exit(Packed::take(input)?, Packed::take(input)?)),
            _ => {
                let json = take_bytes(input)?;
                (name_of(json)?, sieve.kind(json)?)
            }
        };
        let process = self.process(input, at, lookup)?;
        let fits = query.before.is_none_or(|before| id < before.0)
            && query.since.is_none_or(|since| at >= since)
            && query.kind.as_deref().is_none_or(|kind| is_of_kind(name, kind));
        if !fits {
            return Some((id, at, None));
        }
        let complete = first & COMPLETE != 0;
        let found = sieve.names
            | source
            | happened
            | process
            | sieve.value(Field::Id, bartizan_model::EventId(id))
            | sieve.texts.in_moment(at)
            | sieve.value(Field::Kind, name)
            | sieve.value(Field::Complete, complete);
        let (met, open) = sieve.texts.settle(found);
        let verdict = match sieve.filter.judge(met, open) {
            Some(true) => Some(true),
            Some(false) => None,
            None => Some(false),
        };
        Some((id, at, verdict))
    }

    /// What the process of an event holds; a new image is taken in.
    fn process(&mut self, input: &mut Input<'a>, at: Timestamp, lookup: &mut Lookup<'_>) -> Option<u64> {
        let known = self.images.len() - 1;
        match u64::take(input)? {
            NOBODY => Some(self.sieve.nothing),
            NEW => {
                let base = match usize::try_from(u64::take(input)?).ok()? {
                    0 => 0,
                    back => known.checked_sub(back)? + 1,
                };
                let image = self.image(Some(base), at, input, lookup)?;
                let all = image.all;
                self.images.push(image);
                Some(all)
            }
            back => {
                let place = known.checked_sub(usize::try_from(back - NEW).ok()?)? + 1;
                self.images.get(place).map(|image| image.all)
            }
        }
    }

    /// Reads an image, as `image::take` does.
    fn image(&mut self, base: Option<usize>, at: Timestamp, input: &mut Input<'a>, lookup: &mut Lookup<'_>) -> Option<Image<'a>> {
        let mask = u32::from_le_bytes(input.bytes(4)?.try_into().ok()?);
        let mut image = match base {
            None => Image::nothing(),
            Some(base) => self.images.get(base)?.clone(),
        };
        for slot in 0..image::PLAIN {
            if mask & 1 << slot != 0 {
                let held = self.plain(slot, input, &mut image)?;
                *image.held.get_mut(slot as usize)? = held;
            }
        }
        let pid = if mask & 1 << image::PID != 0 { u32::take(input)? } else { image.key.pid };
        image.held[PID] = self.sieve.value(Field::ProcessPid, pid);
        if mask & 1 << image::SINCE != 0 {
            image.held[SINCE] = self.sieve.texts.in_moment(moment::take(at, input)?);
        }
        if mask & 1 << image::ANCESTORS != 0 {
            image.ancestors = self.lineage(image.ancestors, input)?;
        }
        if mask & (1 << EXE_FILE | 1 << PACKAGE) != 0 {
            let (sha256, package) = lookup.known(&image.file, image.package.is_some());
            let package = image.package.or_else(|| package.map(|package| package.as_bytes()));
            image.held[EXE_FILE] = self.sieve.file(&image.file, image.file.sha256.or(sha256));
            image.held[PACKAGE] = self.sieve.optional("package", Field::ProcessPackage, package);
        }
        image.all = self.sieve.process_names | self.all(&image);
        Some(image)
    }

    /// A plain field of an image and what it holds. The slots are those of `image.rs`.
    fn plain(&self, slot: u32, input: &mut Input<'a>, image: &mut Image<'a>) -> Option<u64> {
        let sieve = self.sieve;
        Some(match slot {
            0 => {
                image.key = Packed::take(input)?;
                sieve.value(Field::ProcessKey, image.key)
            }
            1 => sieve.value(Field::ProcessPpid, u32::take(input)?),
            2 => sieve.maybe(Field::ProcessParent, maybe::<ProcessKey>(input)?),
            3 => sieve.value(Field::ProcessExe, Value::Text(take_bytes(input)?)),
            4 => {
                image.file = Packed::take(input)?;
                0
            }
            5 => {
                let count = input.length()?;
                self.each(count, input, |input| Some(sieve.value(Field::ProcessArgv, Value::Text(take_bytes(input)?))))?
            }
            6 => sieve.flag(Packed::take(input)?),
            7 => sieve.value(Field::ProcessCwd, Value::Text(take_bytes(input)?)),
            8 => sieve.value(Field::ProcessUid, u32::take(input)?),
            9 => sieve.value(Field::ProcessEuid, u32::take(input)?),
            10 => sieve.maybe(Field::ProcessUser, maybe_bytes(input)?.map(Value::Text)),
            11 => sieve.maybe(Field::ProcessLoginuid, maybe::<u32>(input)?),
            12 => sieve.maybe(Field::ProcessSession, maybe::<u32>(input)?),
            13 => sieve.value(Field::ProcessCapabilities, u64::take(input)?),
            14 => sieve.value(Field::ProcessCgroup, Value::Text(take_bytes(input)?)),
            15 => sieve.maybe(Field::ProcessContainer, maybe_string(input)?.map(Value::from)),
            16 => sieve.maybe(Field::ProcessUnit, maybe_string(input)?.map(Value::from)),
            17 => sieve.value(Field::ProcessNetns, u32::take(input)?),
            18 => self.each(3, input, |input| Some(sieve.texts.in_number(u32::take(input)?.into())))?,
            19 => sieve.optional("tty", Field::ProcessTty, maybe_bytes(input)?),
            20 => {
                let count = input.length()?;
                let names = if count == 0 { 0 } else { sieve.word("environment") | sieve.word("name") | sieve.word("value") };
                names
                    | self.each(count, input, |input| {
                        let name = sieve.value(Field::EnvironmentName, Value::Text(take_bytes(input)?));
                        Some(name | sieve.value(Field::EnvironmentValue, Value::Text(take_bytes(input)?)))
                    })?
            }
            21 => {
                image.package = maybe_bytes(input)?;
                0
            }
            22 => sieve.optional("container_name", Field::ProcessContainerName, maybe_bytes(input)?),
            23 => sieve.texts.in_number(u8::take(input)?.into()),
            24 => {
                image.elided = Packed::take(input)?;
                sieve.word("elided") | sieve.word("roots") | sieve.texts.in_number(image.elided.into())
            }
            25 => {
                let count = input.length()?;
                image.roots = count > 0;
                let names = if image.roots { sieve.word("role") } else { 0 };
                names
                    | self.each(count, input, |input| {
                        let role = sieve.roles.get(usize::from(input.byte()?))?;
                        let key = sieve.texts.in_key(Packed::take(input)?);
                        Some(role | key | sieve.texts.in_text(take_bytes(input)?))
                    })?
            }
            _ => return None,
        })
    }

    fn each(&self, count: usize, input: &mut Input<'a>, one: impl Fn(&mut Input<'a>) -> Option<u64>) -> Option<u64> {
        (0..count).try_fold(0, |held, _| Some(held | one(input)?))
    }

    /// Reads ancestors, as `image::take` does; tells where they stand.
    fn lineage(&mut self, base: (usize, usize), input: &mut Input<'a>) -> Option<(usize, usize)> {
        let from = self.ancestors.len();
        for _ in 0..input.length()? {
            let key = self.sieve.value(Field::LineageKey, ProcessKey::take(input)?);
            let exe = self.sieve.value(Field::LineageExe, Value::Text(take_bytes(input)?));
            self.ancestors.push(key | exe);
        }
        let skip = usize::try_from(u64::take(input)?).ok()?;
        let kept = usize::try_from(u64::take(input)?).ok()?;
        let (start, count) = base;
        if skip.checked_add(kept)? > count {
            return None;
        }
        self.ancestors.extend_from_within(start + skip..start + skip + kept);
        Some((from, self.ancestors.len() - from))
    }

    fn all(&self, image: &Image<'_>) -> u64 {
        let has_summary = image.elided > 0 || image.roots;
        let fields = image.held.iter().enumerate().filter(|(slot, _)| *slot != ELIDED || has_summary);
        let (start, count) = image.ancestors;
        let above = self.ancestors.get(start..start + count).unwrap_or_default();
        fields.map(|(_, held)| held).chain(above).fold(0, |all, held| all | held)
    }
}

impl Image<'_> {
    fn nothing() -> Self {
        let Process { key, exe_file, .. } = blank();
        Self { held: [0; HELD], key, file: exe_file, package: None, elided: 0, roots: false, ancestors: (0, 0), all: 0 }
    }
}

/// The name of a kind in its JSON, where it stands first.
fn name_of(json: &[u8]) -> Option<&'static str> {
    let rest = json.strip_prefix(b"{\"kind\":\"")?;
    EventKind::NAMES.into_iter().find(|name| rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\"")))
}

fn maybe<T: Packed>(input: &mut Input<'_>) -> Option<Option<T>> {
    Packed::take(input)
}

fn maybe_bytes<'a>(input: &mut Input<'a>) -> Option<Option<&'a [u8]>> {
    Some(if bool::take(input)? { Some(take_bytes(input)?) } else { None })
}

fn maybe_string<'a>(input: &mut Input<'a>) -> Option<Option<&'a str>> {
    maybe_bytes(input)?.map_or(Some(None), |bytes| std::str::from_utf8(bytes).ok().map(Some))
}
