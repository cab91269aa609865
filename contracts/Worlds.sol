// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Multicall } from "@openzeppelin/contracts/utils/Multicall.sol";
import { IMultiverse } from "./interfaces/IMultiverse.sol";
import { IWorlds } from "./interfaces/IWorlds.sol";
import { Paths } from "./libraries/Paths.sol";
import { QuestionId } from "./types/QuestionId.sol";
import { Answer, ROOT, VerseId, VerseIds } from "./types/VerseId.sol";

/// @title The keepers' notebook
/// @dev A report is stored once, with the path of its children; each child verse points back at it. That is enough to
/// find every child of a report and every question that a verse depends on. `multicall` keeps the sender, so that a keeper
/// can note several partitions at once.
contract Worlds is IWorlds, Multicall {
    using Paths for Answer[];

    /// @dev What a keeper reported of one partition. The worlds themselves are kept by verse.
    /// @param path The children's path; the outcome at `index`, where the partition's question stands, is left 0.
    struct Report {
        bytes32 hash;
        VerseId parent;
        uint256 index;
        Answer[] path;
    }

    /// @dev A `World` and where it comes from, in two slots.
    /// @param report Number of the report that opened the verse, counted from 1; 0 when there is none.
    /// @param outcome The answer to the report's question that the verse stands for.
    struct Entry {
        bytes32 stateRoot;
        uint128 cost;
        uint64 probability;
        int8 trit;
        uint8 verdict;
        uint40 report;
        uint8 outcome;
    }

    uint256 private constant CERTAIN = 1e18;
    uint8 private constant NO_WORLD = 0;
    uint8 private constant FAILED = 3;

    /// @inheritdoc IWorlds
    IMultiverse public immutable multiverse;

    mapping(address keeper => Report[]) private _reports;
    /// @dev Number of a partition's report, counted from 1; 0 when there is none.
    mapping(address keeper => mapping(bytes32 partition => uint256)) private _numbers;
    /// @dev Numbers of the reports of partitions of a verse.
    mapping(address keeper => mapping(VerseId parent => uint256[])) private _openings;
    mapping(address keeper => mapping(VerseId id => Entry)) private _entries;

    constructor(IMultiverse multiverse_) {
        multiverse = multiverse_;
    }

    /// @inheritdoc IWorlds
    function report(Answer[] calldata path, QuestionId question, World[] calldata worlds) external {
        (VerseId parent, , uint256 index) = path.locate(question);
        _requireKnown(question);
        _requireValid(question, worlds);

        bytes32 hash = keccak256(abi.encode(worlds));
        bytes32 partition = VerseIds.partition(parent, question);
        uint256 number = _numbers[msg.sender][partition];
        if (number != 0) {
            if (_reports[msg.sender][number - 1].hash == hash) return;
            revert AlreadyReported(msg.sender, parent, question);
        }

        Report storage entry = _reports[msg.sender].push();
        number = _reports[msg.sender].length;
        _numbers[msg.sender][partition] = number;
        _openings[msg.sender][parent].push(number);
        entry.hash = hash;
        entry.parent = parent;
        entry.index = index;
        for (uint256 i = 0; i < index; ++i) {
            _requireKnown(path[i].question);
            entry.path.push(path[i]);
        }
        entry.path.push(Answer(question, 0));
        for (uint256 i = index; i < path.length; ++i) {
            _requireKnown(path[i].question);
            entry.path.push(path[i]);
        }
        for (uint256 outcome = 0; outcome < worlds.length; ++outcome) {
            _note(_entries[msg.sender][_child(entry, outcome)], worlds[outcome], number, outcome);
        }
        emit PartitionReported(msg.sender, parent, question, worlds, path);
    }

    /// @inheritdoc IWorlds
    function updateProbabilities(VerseId parent, QuestionId question, uint64[] calldata probabilities) external {
        uint256 number = _reported(msg.sender, parent, question);
        uint256 live = multiverse.live(question);
        if (live & (live - 1) == 0) revert AlreadyResolved(question);
        if (probabilities.length != question.outcomeCount()) {
            revert WrongWorldCount(question.outcomeCount(), probabilities.length);
        }

        Report storage entry = _reports[msg.sender][number - 1];
        uint256 sum = 0;
        for (uint256 outcome = 0; outcome < probabilities.length; ++outcome) {
            sum += probabilities[outcome];
            Entry storage child = _entries[msg.sender][_child(entry, outcome)];
            if (child.report == number) child.probability = probabilities[outcome];
        }
        if (sum != CERTAIN) revert ProbabilitySum(sum);
        emit ProbabilitiesUpdated(msg.sender, parent, question, probabilities);
    }

    /// @inheritdoc IWorlds
    function world(address keeper, VerseId id) external view returns (World memory) {
        Entry memory entry = _entries[keeper][id];
        return
            World({
                stateRoot: entry.stateRoot,
                cost: entry.cost,
                probability: entry.probability,
                trit: entry.trit,
                verdict: entry.verdict
            });
    }

    /// @inheritdoc IWorlds
    function verse(address keeper, VerseId id) external view returns (Verse memory seen) {
        seen.verseId = VerseId.unwrap(id);
        seen.children = _children(keeper, id);
        if (id == ROOT) {
            seen.probability = CERTAIN;
            (seen.resolved, seen.outcome) = (true, true);
            return seen;
        }

        Entry memory entry = _entries[keeper][id];
        if (entry.report == 0) return seen;
        Report storage opening = _reports[keeper][entry.report - 1];
        seen.parentId = VerseId.unwrap(opening.parent);
        seen.probability = entry.probability;
        (seen.resolved, seen.outcome) = _fate(opening, entry.outcome);
    }

    /// @inheritdoc IWorlds
    function reportHash(address keeper, VerseId parent, QuestionId question) external view returns (bytes32) {
        uint256 number = _numbers[keeper][VerseIds.partition(parent, question)];
        return number == 0 ? bytes32(0) : _reports[keeper][number - 1].hash;
    }

    /// @inheritdoc IWorlds
    function trits(
        address keeper,
        VerseId parent,
        QuestionId question
    ) external view returns (int256 sum, bool isConserved) {
        Report storage opening = _reports[keeper][_reported(keeper, parent, question) - 1];
        for (uint256 outcome = 0; outcome < question.outcomeCount(); ++outcome) {
            sum += _entries[keeper][_child(opening, outcome)].trit;
        }
        isConserved = sum % 3 == 0;
    }

    /// @inheritdoc IWorlds
    function wev(
        address keeper,
        VerseId parent,
        QuestionId question,
        uint8 nash,
        uint8 optimal
    ) external view returns (Wev memory value) {
        Report storage opening = _reports[keeper][_reported(keeper, parent, question) - 1];
        uint256 nashCost = _cost(keeper, opening, question, nash);
        uint256 optimalCost = _cost(keeper, opening, question, optimal);
        value.difference = int256(nashCost) - int256(optimalCost);
        value.isInverted = nashCost < optimalCost;
        value.isUnbounded = optimalCost == 0;
        if (value.isUnbounded) return value;
        value.priceOfAnarchy = (nashCost * CERTAIN) / optimalCost;
        if (!value.isInverted) value.ratio = ((nashCost - optimalCost) * CERTAIN) / optimalCost;
    }

    /// @dev The number of a partition's report.
    function _reported(address keeper, VerseId parent, QuestionId question) private view returns (uint256 number) {
        number = _numbers[keeper][VerseIds.partition(parent, question)];
        if (number == 0) revert NotReported(keeper, parent, question);
    }

    /// @dev What the world of an outcome cost, 18 decimals.
    function _cost(
        address keeper,
        Report storage opening,
        QuestionId question,
        uint8 outcome
    ) private view returns (uint256) {
        if (outcome >= question.outcomeCount()) revert IMultiverse.OutcomeOutOfRange(question, outcome);
        VerseId id = _child(opening, outcome);
        Entry storage entry = _entries[keeper][id];
        if (entry.verdict == NO_WORLD || entry.verdict == FAILED) revert NoCost(keeper, id);
        return entry.cost;
    }

    function _requireKnown(QuestionId question) private view {
        if (multiverse.questions(question).status == 0) revert UnknownQuestion(question);
    }

    function _requireValid(QuestionId question, World[] calldata worlds) private pure {
        if (worlds.length != question.outcomeCount()) {
            revert WrongWorldCount(question.outcomeCount(), worlds.length);
        }
        uint256 sum = 0;
        for (uint256 i = 0; i < worlds.length; ++i) {
            if (worlds[i].trit < -1 || worlds[i].trit > 1) revert InvalidTrit(worlds[i].trit);
            if (worlds[i].verdict > FAILED) revert InvalidVerdict(worlds[i].verdict);
            sum += worlds[i].probability;
        }
        if (sum != CERTAIN) revert ProbabilitySum(sum);
    }

    /// @dev Writes a world down, unless an earlier report opened the same verse from another parent.
    function _note(Entry storage entry, World calldata seen, uint256 number, uint256 outcome) private {
        if (entry.report != 0) return;
        entry.stateRoot = seen.stateRoot;
        entry.cost = seen.cost;
        entry.probability = seen.probability;
        entry.trit = seen.trit;
        entry.verdict = seen.verdict;
        entry.report = uint40(number);
        entry.outcome = uint8(outcome);
    }

    /// @dev The verse that `opening` opened for `outcome`.
    function _child(Report storage opening, uint256 outcome) private view returns (VerseId id) {
        id = ROOT;
        for (uint256 i = 0; i < opening.path.length; ++i) {
            Answer memory answer = opening.path[i];
            id = id.child(answer.question, i == opening.index ? outcome : answer.outcome);
        }
    }

    function _children(address keeper, VerseId parent) private view returns (bytes32[] memory ids) {
        uint256[] memory openings = _openings[keeper][parent];
        uint256 total = 0;
        for (uint256 i = 0; i < openings.length; ++i) {
            total += _outcomes(_reports[keeper][openings[i] - 1]);
        }
        ids = new bytes32[](total);
        uint256 next = 0;
        for (uint256 i = 0; i < openings.length; ++i) {
            Report storage opening = _reports[keeper][openings[i] - 1];
            for (uint256 outcome = 0; outcome < _outcomes(opening); ++outcome) {
                ids[next++] = VerseId.unwrap(_child(opening, outcome));
            }
        }
    }

    function _outcomes(Report storage opening) private view returns (uint256) {
        return opening.path[opening.index].question.outcomeCount();
    }

    /// @dev A verse has collapsed with the first of its answers that is ruled out, and exists for certain once all of
    /// them have been given.
    function _fate(Report storage opening, uint256 outcome) private view returns (bool resolved, bool exists) {
        exists = true;
        for (uint256 i = 0; i < opening.path.length; ++i) {
            Answer memory answer = opening.path[i];
            uint256 needed = 1 << (i == opening.index ? outcome : answer.outcome);
            uint256 live = multiverse.live(answer.question);
            if (live & needed == 0) return (true, false);
            if (live != needed) exists = false;
        }
        resolved = exists;
    }
}
