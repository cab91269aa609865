// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Strings } from "@openzeppelin/contracts/utils/Strings.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { PositionId } from "../../contracts/types/PositionId.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";
import { OddMetadataToken } from "./utils/Tokens.sol";

contract MetadataTest is Base {
    QuestionId private low;
    QuestionId private high;

    function setUp() public override {
        super.setUp();
        (low, high) = _askPair(2, 3);
    }

    function test_describe_registersThePreimage() public {
        Answer[] memory path = _path(low, 1, high, 2);
        PositionId id = _id(path);
        vm.expectEmit(address(ledger));
        emit IMultiverse.PositionDescribed(id, _verse(path), address(token), path);
        PositionId returned = ledger.describe(path, address(token));

        vm.assertEq(PositionId.unwrap(returned), PositionId.unwrap(id), "id");
        (Answer[] memory stored, address storedToken) = ledger.description(id);
        vm.assertEq(keccak256(abi.encode(stored)), keccak256(abi.encode(path)), "path");
        vm.assertEq(storedToken, address(token), "token");
    }

    function test_describe_givesNameSymbolAndDecimals() public {
        uint256 id = PositionId.unwrap(ledger.describe(_path(low, 1, high, 2), address(token)));
        string memory name = string.concat("Test Dollar if ", _short(low), "=1 and ", _short(high), "=2");
        vm.assertEq(ledger.name(id), name, "name");
        vm.assertEq(ledger.symbol(id), string.concat("TUSD-", Strings.toHexString(id >> 224, 4), "=2"), "symbol");
        vm.assertEq(uint256(ledger.decimals(id)), 6, "decimals");

        id = PositionId.unwrap(ledger.describe(_path(low, 1), address(token)));
        vm.assertEq(ledger.symbol(id), string.concat("TUSD-", Strings.toHexString(id >> 224, 4), "=1"), "odd");
    }

    function test_metadata_mayBeEmpty() public {
        OddMetadataToken odd = new OddMetadataToken();
        uint256 id = PositionId.unwrap(ledger.describe(_path(low, 1), address(odd)));
        odd.set(true, abi.encode(""));
        vm.assertEq(ledger.name(id), string.concat(" if ", _short(low), "=1"), "no name");
    }

    function test_describe_againIsSilent() public {
        PositionId id = ledger.describe(_path(low, 1), address(token));
        vm.recordLogs();
        vm.prank(bob);
        vm.assertEq(PositionId.unwrap(ledger.describe(_path(low, 1), address(token))), PositionId.unwrap(id), "id");
        vm.assertEq(vm.getRecordedLogs().length, 0, "no event");
        (Answer[] memory path, ) = ledger.description(id);
        vm.assertEq(path.length, 1, "not stored twice");
    }

    function test_describe_revertsForBadInput() public {
        PositionId root = ledger.positionId(_verse(_path()), address(token));
        _expect(abi.encodeWithSelector(IMultiverse.PhantomPosition.selector, root));
        ledger.describe(_path(), address(token));
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, bob));
        ledger.describe(_path(low, 1), bob);
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, address(ledger)));
        ledger.describe(_path(low, 1), address(ledger));
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        ledger.describe(_path(high, 1, low, 1), address(token));
        _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, low, 2));
        ledger.describe(_path(low, 2), address(token));
    }

    function test_metadata_revertsBeforeDescribe() public {
        uint256 id = _rawId(_path(low, 1));
        bytes memory notDescribed = abi.encodeWithSelector(IMultiverse.NotDescribed.selector, id);
        _expect(notDescribed);
        ledger.name(id);
        _expect(notDescribed);
        ledger.symbol(id);
        _expect(notDescribed);
        ledger.decimals(id);
        _expect(notDescribed);
        ledger.description(PositionId.wrap(id));
    }

    function test_metadata_revertsByNameWhenTheTokenHasNone() public {
        OddMetadataToken odd = new OddMetadataToken();
        uint256 id = PositionId.unwrap(ledger.describe(_path(low, 1), address(odd)));
        bytes[7] memory answers = [
            bytes(""), // nothing
            new bytes(63), // a byte short of an empty string
            abi.encode("MKR"), // well formed: a string
            abi.encode(bytes32("MKR")), // a bytes32 where a string is due
            abi.encode(uint256(32), uint256(1000), bytes32("MKR")), // longer than it is
            abi.encode(uint256(64), uint256(3), bytes32("MKR")), // elsewhere
            abi.encode(uint256(256)) // no uint8
        ];
        for (uint256 i = 0; i < answers.length; ++i) {
            odd.set(true, answers[i]);
            bool text = i == 2;
            if (!text) _expectNoMetadata(address(odd), odd.name.selector);
            ledger.name(id);
            if (!text) _expectNoMetadata(address(odd), odd.symbol.selector);
            ledger.symbol(id);
            _expectNoMetadata(address(odd), odd.decimals.selector);
            ledger.decimals(id);
        }
        // A string that is not padded to whole words, and one that claims a byte more than there is.
        odd.set(true, abi.encodePacked(uint256(32), uint256(3), "MKR"));
        vm.assertEq(ledger.name(id), string.concat("MKR if ", _short(low), "=1"), "all of it");
        odd.set(true, abi.encodePacked(uint256(32), uint256(4), "MKR"));
        _expectNoMetadata(address(odd), odd.name.selector);
        ledger.name(id);
        odd.set(false, abi.encode(uint256(18)));
        _expectNoMetadata(address(odd), odd.decimals.selector);
        ledger.decimals(id);
        odd.set(true, abi.encode(uint256(255)));
        vm.assertEq(uint256(ledger.decimals(id)), 255, "the largest");
    }

    function _expectNoMetadata(address odd, bytes4 selector) private {
        _expect(abi.encodeWithSelector(IMultiverse.NoTokenMetadata.selector, odd, selector));
    }

    function _short(QuestionId question) private pure returns (string memory) {
        return Strings.toHexString(uint256(QuestionId.unwrap(question)) >> 224, 4);
    }
}
